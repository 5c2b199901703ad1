"""Sound against lips: shifted by known amounts, and foreign."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest

from tests.finetune import presenter_clip
from tests.finetune.test_check_sound import speech
from visavis.finetune.check.sync import Sync, measure_sync, sync_finding
from visavis.finetune.ingest import shifted
from visavis.finetune.lips.yardstick.listener import Shown
from visavis.finetune.lips.yardstick.mouth import Mouth

FPS = 25


@functools.cache
def aperture() -> np.ndarray:
    """How far the presenter's lips are apart, f32[582]."""
    with np.load(presenter_clip.TRUTH) as data:
        points = data["landmarks68_px"].astype(np.float64)
        gap = np.linalg.norm(points[:, 62] - points[:, 66], axis=1)
        eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=1)
    return np.asarray(gap / eyes, np.float32)


class Known:
    """Lips that know an opening, as well as lips know it from sound."""

    name, lookahead_ms = "known", 200

    def __init__(self, opening: np.ndarray, noise: float = 1.0) -> None:
        rng = np.random.default_rng(0)
        self._opening = opening + noise * opening.std() * rng.normal(size=len(opening))

    def show(self, sounds: Sequence[np.ndarray]) -> list[Shown]:
        """See `Lips.show`."""
        frames = sum(len(sound) for sound in sounds) // 640
        nothing = np.zeros(frames)
        tract = self._opening[:frames].astype(np.float32)
        return [Shown(Mouth(nothing, nothing, nothing), tract, np.ones(frames, np.float32))]


def noise(seconds: int, seed: int) -> np.ndarray:
    """Something that opens and closes like a mouth, f32[25 seconds]."""
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.normal(size=seconds * FPS + 4), np.ones(5) / 5, "valid")
    return np.asarray(0.1 + 0.05 * smooth, np.float32)


@pytest.mark.parametrize("offset", [0, 200, -200])
def test_the_presenter_s_sound_moved_by_a_known_time(offset: int) -> None:
    sync = measure_sync(aperture(), shifted(speech(), offset))
    assert sync.sure
    assert sync.offset_ms == pytest.approx(offset, abs=25)
    assert sync.low_ms <= sync.offset_ms <= sync.high_ms and sync.high_ms - sync.low_ms < 60
    finding = sync_finding(sync)
    if offset == 0:
        assert finding is None
    else:
        assert finding is not None and finding.kind == "sync"
        assert ("after" if offset > 0 else "before") in finding.text


def test_foreign_sound_is_not_in_step() -> None:
    sync = measure_sync(aperture(), speech()[::-1].copy())
    assert not sync.sure
    finding = sync_finding(sync)
    assert finding is not None and finding.kind == "sync-unknown"


def test_the_correction_brings_the_sound_into_step() -> None:
    finding = sync_finding(Sync(240.4, 200.0, 280.0, sure=True))
    assert finding is not None
    assert finding.text == (
        "The sound comes 240 ms (200 to 280) after the lips; pass --sound-offset -240 to correct "
        "it."
    )
    early = sync_finding(Sync(-240.4, -280.0, -200.0, sure=True))
    assert early is not None and "(200 to 280) before the lips" in early.text
    assert "--sound-offset 240 " in early.text


@pytest.mark.parametrize("frames", [-30, -5, 0, 12])
def test_the_sign(frames: int) -> None:
    opening = noise(40, 1)
    sync = measure_sync(opening, np.zeros(0, np.float32), Known(np.roll(opening, frames)))
    assert sync.sure and sync.offset_ms == pytest.approx(40 * frames, abs=8)


def test_what_cannot_be_told_is_not_sure() -> None:
    silence = np.zeros(0, np.float32)
    opening = noise(40, 1)
    for other in (noise(40, 2), np.zeros(1000), np.roll(opening, 100)):
        assert not measure_sync(opening, silence, Known(other, 0.2)).sure
    assert not measure_sync(np.zeros(1000, np.float32), silence, Known(opening)).sure
    assert not measure_sync(opening[:150], silence, Known(opening)).sure
    assert not measure_sync(opening[:10], silence).sure
