"""Rooms, microphones, senders, other speakers: what they change, and that they keep time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.finetune.speech import augment, noises, senders, vocoder
from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.prosody import Rate, effort_curve, local_rate, spend, with_effort
from visavis.finetune.speech.spectral import spectra, to_sound
from visavis.finetune.speech.whisper import whisper

RATE = 16000
F32 = NDArray[np.float32]
Change = Callable[[F32, np.random.Generator], F32]


def speech_like(seconds: float = 4.0, seed: int = 0) -> F32:
    """Pulses through two resonances, in syllables of random length and loudness."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    pitch = 120.0 + 20.0 * np.sin(2 * np.pi * 0.7 * t)
    source = np.zeros(n)
    source[np.flatnonzero(np.diff(np.floor(np.cumsum(pitch) / RATE)))] = 1.0
    out = np.zeros(n)
    for centre in (500.0, 1500.0, 2600.0):
        k = np.arange(400) / RATE
        ring = np.exp(-300.0 * k) * np.sin(2 * np.pi * centre * k)
        out += np.convolve(source, ring)[:n]
    edges = np.cumsum(rng.uniform(0.08, 0.3, 100))
    syllable = np.searchsorted(edges, t)
    level = np.where(syllable % 2 == 0, rng.uniform(0.3, 1.0, 101)[syllable], 0.01)
    return np.asarray(out * np.convolve(level, np.ones(160) / 160, "same") * 0.3, np.float32)


def envelope(x: F32) -> NDArray[np.float64]:
    return np.convolve(np.square(x.astype(np.float64)), np.ones(160) / 160, "same") ** 0.3


def delay(changed: F32, original: F32, reach: int = 400) -> int:
    """Where the cross-correlation of the envelopes has its peak, samples."""
    a, b = envelope(changed), envelope(original)
    a, b = a - a.mean(), b - b.mean()
    match = [float(np.dot(a[reach + s : len(a) - reach + s], b[reach:-reach])) for s in
             range(-reach, reach + 1, 4)]  # fmt: skip
    return int(np.argmax(match)) * 4 - reach


@pytest.mark.parametrize(
    "make",
    [noises.keys, noises.breath, noises.rustle, noises.music, noises.noise, noises.clicks,
     noises.cough, noises.hum, noises.wind],
)  # fmt: skip
def test_noises_have_unit_power(make: Callable[[int, np.random.Generator], F32]) -> None:
    for seed in range(4):
        sound = make(RATE * 3, np.random.default_rng(seed))
        assert sound.dtype == np.float32 and len(sound) == RATE * 3
        assert 0.3 < float(np.sqrt(np.mean(np.square(sound)))) < 2.0


def test_cloth_is_varied() -> None:
    """Where its energy lies, and how it comes and goes, differs by a lot."""
    bands, peaks = [], []
    for seed in range(30):
        x = noises.rustle(4 * RATE, np.random.default_rng(seed))
        power = np.square(np.abs(np.fft.rfft(x)))
        hz = np.fft.rfftfreq(len(x), 1 / RATE)
        bands.append(np.log2((power * hz).sum() / power.sum()))
        rows = np.sqrt(np.square(x.reshape(-1, 160)).mean(1))
        peaks.append(20 * np.log10(rows.max() / np.median(rows + 1e-3)))
    assert np.ptp(bands) > 3.0 and np.std(bands) > 0.7
    assert np.ptp(peaks) > 15.0


CHANGES: list[Change] = [
    augment.colour, senders.clip, senders.gate, senders.pump,
    senders.control_gain, senders.suppress, senders.opus, senders.degrade,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_moves_in_time(change: Change) -> None:
    original = speech_like()
    for seed in range(3):
        changed = change(original, np.random.default_rng(seed))
        assert changed.dtype == np.float32 and len(changed) == len(original)
        assert np.isfinite(changed).all()
        assert abs(delay(changed, original)) <= 48


@pytest.mark.parametrize("change", [augment.colour, augment.reverberate])
def test_a_click_stays_where_it_is(change: Change) -> None:
    rng = np.random.default_rng(0)
    click = np.zeros(RATE, np.float32)
    click[8000] = 1.0
    for _ in range(5):
        assert abs(int(np.abs(change(click, rng)).argmax()) - 8000) <= 2


def test_a_far_talker_is_more_room_than_voice() -> None:
    click = np.zeros(RATE, np.float32)
    click[4000] = 1.0
    for seed in range(5):
        wet = augment.reverberate(click, np.random.default_rng(seed), far=True)
        assert np.sum(wet[4001:] ** 2) > 2.0 * wet[4000] ** 2


def test_opus_changes_the_sound_but_not_much() -> None:
    original = speech_like()
    coded = senders.opus(original, np.random.default_rng(0))
    r = float(np.corrcoef(coded, original)[0, 1])
    assert 0.6 < r < 0.9999


def test_gain_control_evens_out() -> None:
    loud = speech_like(4.0)
    both = np.concatenate((loud, loud * np.float32(0.1)))
    out = senders.control_gain(both, np.random.default_rng(3))
    half = len(loud)
    before = np.std(both[:half]) / np.std(both[half:])
    after = np.std(out[half // 4 : half]) / np.std(out[half + 3 * half // 4 :])
    assert after < 0.7 * before


def test_a_suppressor_takes_noise_from_pauses() -> None:
    speech = speech_like()
    noisy = speech + np.random.default_rng(0).normal(0, 0.003, len(speech)).astype(np.float32)
    out = senders.suppress(noisy, np.random.default_rng(1))
    quiet = envelope(speech) < np.percentile(envelope(speech), 20)
    assert np.std(out[quiet]) < 0.6 * np.std(noisy[quiet])
    assert np.std(out[~quiet]) > 0.8 * np.std(noisy[~quiet])


def test_spectra_go_back_to_the_sound() -> None:
    for n in (1, 511, 5000, 16000):
        x = np.random.default_rng(n).normal(size=n).astype(np.float32)
        assert np.abs(to_sound(spectra(x), n) - x).max() < 1e-5


def test_effort_is_level_and_brightness() -> None:
    x = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    louder = spend(x, np.full(200, 6.0))
    spectrum = np.abs(np.fft.rfft(louder)) / np.abs(np.fft.rfft(x))
    at = lambda hz: float(20 * np.log10(np.median(spectrum[hz - 50 : hz + 50])))  # noqa: E731
    assert at(300) == pytest.approx(6.0, abs=0.3)
    assert at(4000) == pytest.approx(6.0 * (1 + 0.25 * 3), abs=0.4)


def test_effort_follows_stress_and_is_kept_beside_the_phones() -> None:
    stressed = [Phone("aa", 0.2 * i, 0.2 * i + 0.2, float(i % 2)) for i in range(40)]
    strong, weak = [], []
    for seed in range(5):
        curve = effort_curve(stressed, 8.0, np.random.default_rng(seed))
        assert np.abs(curve).max() <= 10.0
        for p in with_effort(stressed, curve):
            mean = curve[round(p.start * 100) : round(p.end * 100)].mean()
            assert p.effort == pytest.approx(mean, abs=0.5)
            (strong if p.stress else weak).append(p.effort)
    assert np.mean(strong) > np.mean(weak) + 1.0


def test_local_rate_moves_phones_with_the_sound() -> None:
    x = np.random.default_rng(0).normal(0, 1e-4, 4 * RATE).astype(np.float32)
    phones = [Phone("aa", 0.25 + 0.5 * i, 0.45 + 0.5 * i) for i in range(7)]
    t = np.arange(4 * RATE) / RATE
    for p in phones:
        x += ((t > p.start) & (t < p.end)) * np.sin(2 * np.pi * 180 * t).astype(np.float32)
    for seed in range(5):
        rate = local_rate(phones, 4.0, np.random.default_rng(seed), 1.5)
        y, moved = rate(x), rate.phones(phones)
        assert len(y) == int(rate.new[-1] * RATE)
        assert all(0.11 < p.end - p.start < 0.34 for p in moved)
        loud = np.convolve(y**2, np.ones(320) / 320, "same") > 0.2
        edges = np.flatnonzero(np.diff(loud.astype(int))) / RATE
        want = [e for p in moved for e in (p.start, p.end)]
        assert len(edges) == len(want) and np.abs(edges - want).max() < 0.015
        # The pitch stays.
        part = y[int((moved[3].start + 0.02) * RATE) : int((moved[3].end - 0.02) * RATE)]
        crossings = np.flatnonzero((part[:-1] < 0) & (part[1:] >= 0))
        assert RATE / np.diff(crossings).mean() == pytest.approx(180.0, rel=0.05)


def test_rate_goes_both_ways() -> None:
    rate = Rate(np.array([0.6] * 50 + [1.7] * 50))
    t = np.linspace(0, 1, 11)
    assert np.allclose(rate.to_old(rate.to_new(t)), t)
    assert rate.to_new(0.5) == pytest.approx(0.5 / 0.6)


needs_world = pytest.mark.skipif(vocoder.load() is None, reason="needs pyworld")


@needs_world
def test_another_speaker_at_the_same_times() -> None:
    x = speech_like()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        y = vocoder.revoice(x, vocoder.random_speaker(rng), None, rng)
        assert len(y) == len(x) and np.isfinite(y).all()
        assert abs(delay(y, x)) <= 80


@needs_world
def test_another_speaker_in_another_rhythm() -> None:
    x = speech_like()
    rng = np.random.default_rng(2)
    rate = local_rate([], 4.0, rng, 1.5)
    y = vocoder.revoice(x, vocoder.Speaker(), rate, rng)
    assert len(y) == int(rate.new[-1] * RATE)
    # Its envelope is the old one, looked up at the old times.
    want = np.interp(rate.to_old(np.arange(len(y)) / RATE) * RATE, np.arange(len(x)), envelope(x))
    assert np.corrcoef(envelope(y), want)[0, 1] > 0.9


@needs_world
def test_pitch_and_formants_change_by_themselves() -> None:
    x = speech_like(2.0)
    rng = np.random.default_rng(0)

    def centroid(y: F32) -> float:
        power = np.square(np.abs(np.fft.rfft(y)))
        return float((power * np.fft.rfftfreq(len(y), 1 / RATE)).sum() / power.sum())

    def pitch(y: F32) -> float:
        spectrum = np.square(np.abs(np.fft.rfft(y, 1 << 17)))
        return float(np.argmax(np.fft.irfft(spectrum)[50:320]) + 50)

    high = vocoder.revoice(x, vocoder.Speaker(pitch=1.5), None, rng)
    wide = vocoder.revoice(x, vocoder.Speaker(formants=1.2), None, rng)
    assert pitch(high) == pytest.approx(pitch(x) / 1.5, rel=0.12)
    assert pitch(wide) == pytest.approx(pitch(x), rel=0.12)
    assert centroid(wide) > 1.08 * centroid(x)


def test_a_whisper_has_no_voice() -> None:
    x = speech_like()
    y = whisper(x, np.random.default_rng(0))
    assert len(y) == len(x) and abs(delay(y, x)) <= 80

    def periodic(s: F32) -> float:
        spectrum = np.square(np.abs(np.fft.rfft(s, 1 << 17)))
        own = np.fft.irfft(spectrum)
        return float(own[100:250].max() / own[0])

    assert periodic(y) < 0.5 * periodic(x)
