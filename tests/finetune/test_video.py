"""Colours: one matrix after the build, whatever the clip had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.finetune import presenter_clip
from visavis.engines.errors import PersonFileError
from visavis.finetune.video import bt709_to_bt601, read_clip, to_rgb


def flat(y: int, u: int, v: int) -> np.ndarray:
    """One colour, 8 x 8."""
    frame = np.full((12, 8), y, np.uint8)
    frame[8:10], frame[10:] = u, v
    return frame


# Limited-range codes of full red, green, blue and white (BT.709-6 and BT.601-7, 8 bit).
BT709 = {(255, 0, 0): (63, 102, 240), (0, 255, 0): (173, 42, 26), (0, 0, 255): (32, 240, 118)}
BT601 = {(255, 0, 0): (81, 90, 240), (0, 255, 0): (145, 54, 34), (0, 0, 255): (41, 240, 110)}


@pytest.mark.parametrize("rgb", BT709)
def test_primaries(rgb: tuple[int, int, int]) -> None:
    made = bt709_to_bt601(flat(*BT709[rgb]))
    found = made[0, 0], made[8, 0], made[10, 0]
    assert np.abs(np.array(found, int) - BT601[rgb]).max() <= 1
    assert np.abs(to_rgb(flat(*BT601[rgb])).astype(int) - rgb).max() <= 3


def test_grey_stays() -> None:
    for level in (16, 126, 235):
        assert np.array_equal(bt709_to_bt601(flat(level, 128, 128)), flat(level, 128, 128))


def test_the_presenter_is_converted() -> None:
    """Skin: more red than green than blue, and not what reading with the wrong matrix gives."""
    frame = presenter_clip.frames()[90]
    cheek = to_rgb(frame)[290:300, 200:215].reshape(-1, 3).mean(axis=0)
    assert cheek[0] > cheek[1] + 25 > cheek[2] + 30
    assert frame.shape == (768, 512)


def test_another_frame_rate_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 90, np.uint8), "yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(PersonFileError, match="convert it to 25"):
        read_clip(path)
    (tmp_path / "not.mp4").write_bytes(b"no video")
    with pytest.raises(PersonFileError, match="cannot be decoded"):
        read_clip(tmp_path / "not.mp4")
