from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.benchmarks.live.speech import RATE, read, varied, write
from visavis.engines.errors import AudioInputError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    samples = (0.3 * np.sin(np.arange(2 * RATE) / 20)).astype(np.float32)
    write(tmp_path / "a.wav", samples)
    assert np.abs(read(tmp_path / "a.wav") - samples).max() < 1e-4


def test_loops_differ_but_little() -> None:
    once = (0.3 * np.sin(np.arange(2 * RATE) / 20)).astype(np.float32)
    looped = varied(once, 5, seed=1)
    assert looped.size >= 5 * RATE
    first, second = looped[: once.size], looped[once.size : 2 * once.size]
    assert np.abs(first - second).max() > 0.01
    assert np.abs(looped[: once.size] - once).max() < 0.3 * (10 ** (2 / 20) - 1) + 0.01


def test_the_same_seed_says_the_same() -> None:
    once = np.ones(RATE, np.float32) * 0.1
    assert (varied(once, 3, seed=4) == varied(once, 3, seed=4)).all()
    assert (varied(once, 3, seed=4) != varied(once, 3, seed=5)).any()


@pytest.mark.parametrize("content", [b"", b"not a sound at all"])
def test_what_is_no_sound_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(AudioInputError, match="no sound"):
        read(tmp_path / "x.wav")


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AudioInputError, match="cannot be read|no sound"):
        read(tmp_path / "none.wav")


def test_too_little_sound_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.zeros(RATE // 2, np.float32))
    with pytest.raises(AudioInputError, match="less than a second"):
        read(tmp_path / "a.wav")
