from __future__ import annotations

import numpy as np
import pytest

from visavis.server.media.resample import DELAY_SAMPLES, Decimator

RATE = 48_000


def tone(frequency: float, samples: int = 9600) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(samples) / RATE).astype(np.float32)


def test_the_delay_is_what_it_says() -> None:
    out = Decimator().process(tone(440.0))
    t = (3 * np.arange(len(out)) - DELAY_SAMPLES) / RATE
    np.testing.assert_allclose(out[40:], np.sin(2 * np.pi * 440 * t)[40:], atol=2e-3)


@pytest.mark.parametrize("frequency", [100.0, 1000.0, 3000.0, 6000.0, 6800.0])
def test_speech_passes(frequency: float) -> None:
    out = Decimator().process(tone(frequency))[40:]
    assert np.sqrt(np.mean(out**2)) == pytest.approx(np.sqrt(0.5), rel=0.12)


@pytest.mark.parametrize("frequency", [9_200.0, 10_000.0, 12_000.0, 15_500.0, 20_000.0])
def test_what_would_fold_back_is_gone(frequency: float) -> None:
    out = Decimator().process(tone(frequency))[40:]
    assert 20 * np.log10(np.sqrt(np.mean(out**2)) + 1e-9) < -50


def test_chunks_make_no_difference() -> None:
    pcm = np.random.default_rng(1).normal(0, 0.2, 9600).astype(np.float32)
    whole = Decimator().process(pcm)
    streaming = Decimator()
    cuts = [0, 3, 960, 963, 4800, 9600]
    parts = [streaming.process(pcm[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


def test_odd_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        Decimator().process(np.zeros(100, np.float32))
