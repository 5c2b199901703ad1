"""Tracked coefficients: what is read, how much of it, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from visavis.export.imports.coefficients import COUNT, read_track
from visavis.export.imports.errors import ImportRefused

ROWS = np.random.default_rng(0).normal(size=(12, COUNT))
POINTS = np.random.default_rng(1).normal(size=(12, 5, 2))


def write(folder: Path, count: int = 12, **more: Any) -> Path:
    for n in range(count):
        arrays = {"coeff": ROWS[n][None], "lm_5p": POINTS[n], **more}
        scipy.io.savemat(folder / f"frame{n}.mat", arrays, do_compression=n % 2 == 1)
    return folder


def test_frames_come_in_their_order(tmp_path: Path) -> None:
    """By number, not by name: frame10 comes after frame9."""
    (tmp_path / "frame0_render.png").write_bytes(b"beside them lie pictures")
    track = read_track(write(tmp_path))
    np.testing.assert_allclose(track.coefficients, ROWS, rtol=1e-6)
    assert track.shifts is not None
    np.testing.assert_allclose(track.shifts, POINTS.mean(1), rtol=1e-5, atol=1e-7)
    assert track.coefficients.dtype == track.shifts.dtype == np.float32


def test_no_more_are_read_than_wanted(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "frame5.mat").write_bytes(b"damaged")
    assert len(read_track(tmp_path, 5).coefficients) == 5
    with pytest.raises(ImportRefused, match=r"frame5\.mat cannot be read: it is no \.mat file"):
        read_track(tmp_path)


def test_arrays_and_single_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    track = read_track(tmp_path / "rows.npy", 3)
    np.testing.assert_allclose(track.coefficients, ROWS[:3], rtol=1e-6)
    assert track.shifts is None
    np.save(tmp_path / "row.npy", ROWS[0])
    assert read_track(tmp_path / "row.npy").coefficients.shape == (1, COUNT)
    write(tmp_path, 1)
    assert read_track(tmp_path / "frame0.mat").coefficients.shape == (1, COUNT)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((3, 256)), "not of rows of 257"),
        (np.zeros((0, 257)), "holds no frames"),
        (np.full((2, 257), np.inf), "not finite"),
        (np.full((2, 257), 1e9), "too large"),
        (np.zeros((2, 257), complex), "not of rows"),
    ],
)
def test_odd_arrays(tmp_path: Path, rows: np.ndarray, sentence: str) -> None:
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(ImportRefused, match=sentence):
        read_track(tmp_path / "rows.npy")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    for data in (pickle.dumps({"coeff": 1}), b"", b"<html>"):
        (tmp_path / "rows.npy").write_bytes(data)
        with pytest.raises(ImportRefused, match="no array of numbers"):
            read_track(tmp_path / "rows.npy")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"coeff": np.zeros((1, 97))}, "holds 97 coefficients, not 257"),
        ({"coeff": "text"}, "coeff holds text"),
        ({"lm_5p": np.zeros((68, 2))}, "not of five points"),
        ({"lm_5p": np.full((5, 2), np.nan)}, "lm_5p has numbers"),
    ],
)
def test_odd_frames(tmp_path: Path, more: dict[str, Any], sentence: str) -> None:
    write(tmp_path, 2, **more)
    with pytest.raises(ImportRefused, match=sentence):
        read_track(tmp_path)


def test_a_face_model_is_no_track(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "frame0.mat", {"meanshape": np.zeros((1, 3))})
    with pytest.raises(ImportRefused, match="holds no coeff"):
        read_track(tmp_path)
    (tmp_path / "frame0.mat").write_bytes(bytes(2 << 20))
    with pytest.raises(ImportRefused, match="larger than one frame"):
        read_track(tmp_path)
    with pytest.raises(ImportRefused, match="cannot be read: no such file"):
        read_track(tmp_path / "frame7.mat")
