"""Figures with known answers: lag, correlation, quantiles, intervals, ridges that cannot peek."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.agreement import agreement, average, high_pass, lag_ms
from visavis.finetune.lips.yardstick.clips import Piece
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.ridge import from_others, from_own
from visavis.finetune.lips.yardstick.sampling import Estimate, Sampling, correlations, quantiles

F64 = NDArray[np.float64]


def wave(at: F64) -> F64:
    """A curve about as quick as lips."""
    return np.asarray(0.1 + 0.05 * (np.sin(2.1 * at) + np.sin(9.3 * at + 1) + np.sin(19.7 * at)))


def one_clip(*pieces: F64) -> list[list[F64]]:
    return [list(pieces)]


def mouth(curve: F64) -> Mouth:
    return Mouth(curve, np.sqrt(np.abs(curve)), -curve)


@settings(max_examples=25, deadline=None)
@given(late_ms=st.floats(-110, 110), start=st.floats(0, 100))
def test_a_shifted_copy_has_that_lag(late_ms: float, start: float) -> None:
    t = start + np.arange(600) / 25.0
    sampling = Sampling([[600]], 0)
    curve = correlations(sampling, one_clip(wave(t - late_ms / 1000)), one_clip(wave(t)), 6)
    assert lag_ms(curve)[0] == pytest.approx(late_ms, abs=5)


def test_a_lag_is_found_within_pieces_alone() -> None:
    """Pieces in another order: whoever shifted across the cut would see other neighbours."""
    t = np.arange(400) / 25.0
    late, real = wave(t - 0.05), wave(t)
    cuts = (slice(0, 130), slice(130, 260), slice(260, 400))
    sampling = Sampling([[130, 130, 140]], 0)
    forward = correlations(sampling, [[late[c] for c in cuts]], [[real[c] for c in cuts]], 6)
    other = Sampling([[140, 130, 130]], 0)
    turned = correlations(
        other, [[late[c] for c in cuts[::-1]]], [[real[c] for c in cuts[::-1]]], 6
    )
    assert np.allclose(forward, turned)
    assert lag_ms(forward)[0] == pytest.approx(50, abs=5)


def test_what_follows_nothing_has_no_lag() -> None:
    still = np.full(300, 0.08)
    curve = correlations(Sampling([[300]], 10), one_clip(still), one_clip(wave(np.arange(300))), 6)
    assert (curve == 0.0).all()
    assert np.isnan(lag_ms(curve)).all()
    assert Estimate.of(lag_ms(curve)) == Estimate(None)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(40, 160), min_size=1, max_size=5), st.integers(0, 2**31))
def test_correlation_is_pearsons(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = [rng.normal(size=n) for n in lengths]
    b = [x + rng.normal(size=len(x)) for x in a]
    r = correlations(Sampling([lengths], 20), [a], [b])
    assert r.shape == (21, 1)
    assert r[0, 0] == pytest.approx(np.corrcoef(np.concatenate(a), np.concatenate(b))[0, 1])
    again = correlations(Sampling([lengths], 20), [a], [[3 * x - 7 for x in b]])
    assert np.allclose(r, again)


def test_short_clips_weigh_the_same() -> None:
    rng = np.random.default_rng(0)
    real = [rng.normal(size=n) for n in (75, 75, 300)]
    shown = [real[0], -real[1], rng.normal(size=300)]
    sampling = Sampling([[75], [75], [300]], 500)
    r = correlations(sampling, [[s] for s in shown], [[x] for x in real])[:, 0]
    third = np.corrcoef(shown[2], real[2])[0, 1]
    assert r[0] == pytest.approx((1 - 1 + third) / 3)
    assert r[1:].min() == pytest.approx(-1) and r[1:].max() == pytest.approx(1)


def coloured(rng: np.random.Generator, n: int, truth: float) -> tuple[F64, F64]:
    """Two series whose correlation is `truth`, each as slow as lips are."""
    kernel = np.exp(-np.arange(12) / 3.0)
    a, b = (np.convolve(rng.normal(size=n + 11), kernel, "valid") for _ in range(2))
    return a, truth * a + np.sqrt(1 - truth**2) * b


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(80):
        a, b = coloured(rng, 1000, 0.5)
        e = Estimate.of(correlations(Sampling([[1000]], 300, str(trial)), [[b]], [[a]])[:, 0])
        assert e.low is not None and e.high is not None and e.value is not None
        assert e.low < e.value < e.high
        inside += e.low <= 0.5 <= e.high
    # 95 % in theory; 20 blocks and 80 trials leave room.
    assert 68 <= inside < 80


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(2)
    a, b = coloured(rng, 1000, 0.5)
    better = b + 0.15 * a
    one, two = (correlations(Sampling([[1000]], 500, "x"), [[p]], [[a]])[:, 0] for p in (b, better))
    gain, alone = Estimate.of(two - one), Estimate.of(one)
    assert gain.low is not None and gain.high is not None
    assert alone.low is not None and alone.high is not None
    assert gain.low > 0.0
    assert gain.high - gain.low < 0.5 * (alone.high - alone.low)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(30, 120), min_size=1, max_size=4), st.integers(0, 2**31))
def test_quantiles_are_those_of_all_frames(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pieces = [rng.random(n) for n in lengths]
    levels = (0.05, 0.5, 0.95)
    found = quantiles(Sampling([lengths], 5), [pieces], levels)[0]
    want = np.quantile(np.concatenate(pieces), levels, method="inverted_cdf")
    assert np.allclose(found, want)


def test_the_high_pass_keeps_lips_and_takes_drift() -> None:
    t = np.arange(500) / 25.0
    quick = np.sin(2 * np.pi * 3.03 * t)
    slow = 5 * np.sin(2 * np.pi * 0.11 * t) + 0.4 * t
    passed = high_pass(quick + slow)
    assert np.corrcoef(passed, quick)[0, 1] > 0.99
    assert high_pass(slow).std() < 0.05 * slow.std()
    # Linear and without a phase.
    assert np.allclose(high_pass((quick + slow)[::-1]), passed[::-1])


def test_amplitude_and_speed_are_told_apart() -> None:
    t = np.arange(1000) / 25.0
    real = wave(t)
    sampling = Sampling([[1000]], 50)

    def against(shown: F64) -> tuple[float, float, float]:
        a = agreement(sampling, [[mouth(shown)]], [[mouth(real)]])
        return float(a.r[0]), float(a.opening_off[0]), float(a.speed_off[0])

    assert against(real) == (pytest.approx(1.0), 0.0, 0.0)
    r, opening, speed = against(0.5 * real)
    assert r == pytest.approx(1.0) and opening == pytest.approx(0.5) and speed > 0.4
    shuffled = np.random.default_rng(0).permutation(real)
    r, opening, speed = against(shuffled)
    assert abs(r) < 0.2 and opening == 0.0 and speed > 0.5


def test_families_weigh_the_same() -> None:
    t = np.arange(1000) / 25.0
    good = agreement(Sampling([[1000]], 20), [[mouth(wave(t))]], [[mouth(wave(t))]])
    bad = agreement(Sampling([[100]], 20), [[mouth(-wave(t[:100]))]], [[mouth(wave(t[:100]))]])
    both = average([good, bad])
    assert both.r[0] == pytest.approx(0.0)
    assert both.width[0] == pytest.approx((1 + bad.width[0]) / 2)
    assert both.opening.shape == (21, 3)


def piece(kind: str, seed: int, frames: int = 150, number: int = 0) -> Piece:
    """Noise whose loudness the mouth follows 80 ms ahead."""
    rng = np.random.default_rng(seed)
    at = np.arange(frames * 4) / 100.0
    loud = 0.2 + np.interp(
        at,
        np.arange(0, at[-1] + 1, 0.25),
        rng.random(int(at[-1] * 4 + 5))[: len(np.arange(0, at[-1] + 1, 0.25))],
    )
    sound = rng.normal(size=frames * 640) * np.repeat(loud, 160) * 0.05
    opening = 0.2 * np.log(loud[8:])[1::4]
    opening = np.pad(opening, (0, frames - len(opening)), mode="edge")
    return Piece(
        f"{kind}_{number}", f"{kind}_{number}", kind, sound.astype(np.float32), mouth(opening)
    )


def test_a_ridge_learns_from_other_kinds_and_from_them_alone() -> None:
    pieces = [piece(kind, seed) for seed, kind in enumerate("abc")]
    found, penalties = from_others(pieces, 120)
    assert set(penalties) == {"a", "b", "c"}
    for p, m in zip(pieces, found, strict=True):
        assert m is not None
        assert np.corrcoef(m.opening, p.truth.opening)[0, 1] > 0.6
    lied = [
        pieces[0],
        pieces[1],
        Piece(
            **{
                **{n: getattr(pieces[2], n) for n in ("clip", "family", "kind", "sound")},
                "truth": mouth(np.random.default_rng(9).random(150)),
            }
        ),
    ]
    again, _ = from_others(lied, 120)
    assert found[2] is not None and again[2] is not None and again[0] is not None
    assert np.array_equal(found[2].opening, again[2].opening)
    assert found[0] is not None and not np.array_equal(found[0].opening, again[0].opening)


def test_one_kind_alone_has_no_others() -> None:
    pieces = [piece("a", 0), piece("a", 1, number=1)]
    found, penalties = from_others(pieces, 80)
    assert found == [None, None] and penalties == {}


def test_a_ridge_on_the_own_clip_does_not_see_what_it_predicts() -> None:
    own = piece("a", 0, 300)
    before = from_own([own], 80, {"a": 0.3})[0]
    lie = own.truth.opening.copy()
    lie[120:130] += 5.0  # inside the third of six blocks
    lied = Piece(own.clip, own.family, own.kind, own.sound, mouth(lie))
    after = from_own([lied], 80, {"a": 0.3})[0]
    assert before is not None and after is not None
    assert np.corrcoef(before.opening, own.truth.opening)[0, 1] > 0.6
    assert np.allclose(before.opening[100:150], after.opening[100:150])
    assert not np.allclose(before.opening[:100], after.opening[:100])


def test_a_short_clip_has_no_ridge_of_its_own() -> None:
    assert from_own([piece("a", 0, 100)], 80, {"a": 0.3}) == [None]
