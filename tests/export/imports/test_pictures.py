from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from visavis.engines.clip import Clip
from visavis.engines.i420 import planes_of
from visavis.export.imports import pictures
from visavis.export.imports.contact_sheet import png
from visavis.export.imports.errors import ImportRefused


def video(path: Path, frames: list[np.ndarray], rate: int) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "5", "bf": "2"}
        for k, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def greys(count: int) -> list[np.ndarray]:
    return [np.full((64, 80, 3), 20 + 8 * k, np.uint8) for k in range(count)]


def test_a_picture_is_read_as_it_is(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (66, 90, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(png(picture))
    assert np.array_equal(pictures.read_image(path), picture)


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [(25, list(range(20))), (50, list(range(0, 20, 2))), (10, [0, 0, 1, 1, 1, 2, 2, 3, 3, 3])],
)
def test_a_clip_of_any_rate_is_shown_25_times_a_second(
    tmp_path: Path, rate: int, wanted: list[int]
) -> None:
    clip = pictures.read_clip(video(tmp_path / "a.mp4", greys(20), rate))
    shown = [round((frame.mean() - 20) / 8) for frame in clip]
    # A frame that lies in the middle between two ticks may belong to either.
    assert np.abs(np.array(shown[: len(wanted)]) - wanted).max() <= (0 if rate == 25 else 1)
    assert abs(len(clip) - 20 * 25 / rate) <= 2.5


def test_no_more_of_a_clip_is_read_than_is_wanted(tmp_path: Path) -> None:
    assert len(pictures.read_clip(video(tmp_path / "a.mp4", greys(20), 25), most=7)) == 7


def test_colours_come_through_the_footage() -> None:
    frames = [np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 30, 40), (20, 180, 90))]
    clip = Clip(pictures.encode_footage(frames))
    for k, frame in enumerate(frames):
        for plane, wanted in zip(
            planes_of(clip.frame(k)), planes_of(pictures.to_i420(frame)), strict=True
        ):
            assert np.abs(plane.astype(int) - wanted).max() <= 2


def test_levels_are_those_of_bt601() -> None:
    red = np.zeros((64, 65, 3), np.uint8)
    red[..., 0] = 255
    y, u, v = planes_of(pictures.to_i420(red))
    assert y.shape == (64, 64)
    assert (y == 81).all() and (u == 90).all() and (v == 240).all()


def test_what_is_no_picture_is_refused_with_a_sentence(tmp_path: Path) -> None:
    text, small = tmp_path / "a.jpg", tmp_path / "b.png"
    text.write_text("hello" * 100)
    small.write_bytes(png(np.zeros((20, 20, 3), np.uint8)))
    for path, words in ((text, "cannot be read"), (tmp_path / "c", "no such"), (small, "20x20")):
        for read in (pictures.read_image, pictures.read_clip):
            with pytest.raises(ImportRefused, match=words) as caught:
                read(path)
            assert str(path) in str(caught.value)


def test_footage_of_no_or_of_several_sizes_is_refused() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    for frames, words in (
        ([], "no picture"),
        ([frame, frame[:, :62]], "differ"),
        ([frame[:32, :32]], "32x32"),
    ):
        with pytest.raises(ImportRefused, match=words):
            pictures.encode_footage(frames)


def test_a_clip_that_would_not_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_BYTES", 5 * 64 * 80 * 3)
    with pytest.raises(ImportRefused, match="too large for memory"):
        pictures.read_clip(video(tmp_path / "a.mp4", greys(20), 25))
