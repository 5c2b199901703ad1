"""Closures and the gate on cases made by hand; toys, each given away by a figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clip_report import clip_figures, clip_json, figures_of
from visavis.finetune.lips.yardstick.clip_table import clip_table
from visavis.finetune.lips.yardstick.clips import Piece, frame_times
from visavis.finetune.lips.yardstick.closures import Closures, closures, total
from visavis.finetune.lips.yardstick.gate_table import (
    delays_ms,
    gate_json,
    open_in,
    open_share,
    runs,
    silence_toys,
)
from visavis.finetune.lips.yardstick.listener import Shown
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.speech_table import measure_talk, speech_toys, wanted
from visavis.finetune.lips.yardstick.talks import Talk, in_noise, whispered
from visavis.finetune.lips.yardstick.targets import TARGETS, misses
from visavis.finetune.lips.yardstick.toys import TOYS
from visavis.finetune.speech.phones import Phone

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PHRASE = (
    Phone("aa", 0.0, 1.0),
    Phone("m", 1.0, 1.1),
    Phone("aa", 1.1, 2.0),
    Phone("p", 2.0, 2.1),
    Phone("aa", 2.1, 3.0),
)


def test_closures_are_counted() -> None:
    opening = np.full(75, 0.1)
    opening[25:28] = 0.0  # the m
    opening[10] = 0.0  # nothing is said there that would shut the lips
    counts = closures(opening, PHRASE)
    assert (counts.wanted, counts.met, counts.false) == (2, 1, 1)
    assert counts.open_frames == pytest.approx(75 - 2 * 6, abs=5)
    assert counts.recall == 0.5 and counts.false_share == pytest.approx(1 / counts.open_frames)


@pytest.mark.parametrize(("frame", "seen"), [(22, False), (24, True), (28, True), (30, False)])
def test_a_closure_counts_within_40_ms(frame: int, seen: bool) -> None:
    """The m lasts from 1.0 to 1.1 s; frame 24 ends and frame 28 begins within 40 ms of it."""
    opening = np.full(75, 0.1)
    opening[frame] = 0.0
    counts = closures(opening, PHRASE)
    assert counts.met == seen
    assert counts.false == (not seen)


def test_a_gap_of_a_pixel_is_no_closure() -> None:
    assert closures(np.full(75, 0.013), PHRASE).met == 0
    assert closures(np.full(75, 0.011), PHRASE).met == 2


def test_lips_on_teeth_and_pauses_are_neither_right_nor_wrong() -> None:
    phones = [Phone("aa", 0.0, 1.0), Phone("f", 1.0, 1.2), Phone("aa", 1.2, 2.0)]
    phones += [Phone("pau", 2.0, 2.6), Phone("aa", 2.6, 3.2)]
    opening = np.full(80, 0.1)
    opening[25:29] = 0.0
    opening[50:64] = 0.0
    counts = closures(opening, phones)
    assert (counts.wanted, counts.false) == (0, 0)
    assert counts.recall is None


def test_silence_has_no_closures() -> None:
    counts = closures(np.zeros(50), [])
    assert counts == Closures(0, 0, 0, 0)
    assert counts.recall is None and counts.false_share is None
    assert total([counts, Closures(3, 2, 10, 1)]) == Closures(3, 2, 10, 1)


def test_runs_are_split_at_long_pauses_alone() -> None:
    phones = [Phone("aa", 1.0, 2.0), Phone("pau", 2.0, 2.3), Phone("t", 2.3, 2.5)]
    phones.append(Phone("aa", 4.0, 4.5))
    assert [tuple(round(v, 6) for v in run) for run in runs(phones, 5.0)] == [
        (1.0, 2.5, 1.0, 1.5),
        (4.0, 4.5, 1.5, 0.5),
    ]


def talk_of(phones: tuple[Phone, ...], frames: int) -> Talk:
    return Talk("none:none", "none:none", "en", np.zeros(640 * frames, np.float32), phones)


@settings(max_examples=30, deadline=None)
@given(opens=st.integers(-4, 10), shuts=st.integers(1, 12))
def test_the_gates_delays_are_those_it_has(opens: int, shuts: int) -> None:
    talk = talk_of((Phone("aa", 1.0, 2.0),), 100)
    gate = np.zeros(100, np.float32)
    gate[25 + opens : 50 + shuts] = 1.0
    onsets, hangs = delays_ms(talk, gate)
    assert onsets == [opens * 40.0]
    assert hangs == [pytest.approx(shuts * 40.0)]


def test_a_gate_that_never_moves_has_no_delays() -> None:
    talk = talk_of((Phone("aa", 1.0, 2.0),), 100)
    assert delays_ms(talk, np.zeros(100)) == ([], [0.0])
    assert delays_ms(talk, np.ones(100)) == ([-240.0], [])


def shown_of(opening: F64, gate: F64) -> Shown:
    mouth = Mouth(opening, 0.5 - opening, 0.1 * opening)
    return Shown(mouth, opening.astype(np.float32), gate.astype(np.float32))


def test_phones_of_a_kind_are_looked_at_alone() -> None:
    talk = talk_of((Phone("aa", 1.0, 2.0), Phone("s", 2.0, 2.4)), 75)
    gate = np.zeros(75)
    gate[25:50] = 1.0
    shown = [shown_of(np.zeros(75), gate)]
    assert open_in([talk], shown) == pytest.approx(25 / 35)
    assert open_in([talk], shown, frozenset({"s"})) == 0.0
    assert open_in([talk], shown, frozenset({"aa"})) == 1.0
    assert open_in([talk], shown, frozenset({"f"})) is None
    table = gate_json({"keys": shown}, [talk], shown, shown)
    assert table["open_mouth_in_all"] == 0.0 and table["gate_in_f"] is None


NAMES = ("m", "aa", "t", "iy", "p", "oh", "s", "eh", "b", "ae", "f", "uw", "l", "ah", "w", "k")


def speech(seed: int, frames: int) -> tuple[Phone, ...]:
    """Words of eight sounds with pauses between them."""
    rng = np.random.default_rng(seed)
    phones, at = [], 0.8
    while at < frames / 25 - 1.6:
        for _ in range(8):
            length = rng.uniform(0.06, 0.14)
            phones.append(Phone(str(rng.choice(NAMES)), at, at + length))
            at += length
        at += 0.3 + (rng.random() < 0.3) * 0.8
    return tuple(phones)


def voice(opening: F64, seed: int) -> F32:
    """Noise as loud as the mouth is open, more or less: what the energy toy lives on."""
    rng = np.random.default_rng(seed)
    knots = np.arange(0, len(opening) + 10, 10)
    slow = np.interp(np.arange(len(opening)), knots, rng.uniform(0.3, 1.0, len(knots)))
    loud = np.repeat((0.01 + opening) * slow, 640)
    return (0.3 * loud * rng.normal(size=len(loud))).astype(np.float32)


@pytest.fixture(scope="module")
def scene() -> tuple[list[Talk], list[Shown]]:
    """Talks, and a mouth that does what they ask for."""
    talks, shown = [], []
    for seed in range(5):
        phones = speech(seed, 500)
        talk = Talk(f"made:{seed}", f"made:{seed}", "en", np.zeros(500 * 640, np.float32), phones)
        want = wanted(talk)
        talks.append(replace(talk, sound=voice(want[:, 0], seed)))
        shown.append(shown_of(want[:, 0] + 0.001, want[:, 8]))
    return talks, shown


GIVEN_AWAY = {
    "half open": "negatives",
    "energy x gain": "negatives",
    "80 ms late": "clips_lag_ms",
    "80 ms early": "clips_lag_ms",
    "smoothed": "clips_speed_off",
    "jittered": "clips_speed_off",
    "always shut": "false_closures",
    "gate never opens": "gate_in_speech",
    "other words": "clips_r",
}


def test_every_toy_is_given_away_and_a_good_mouth_is_not(
    scene: tuple[list[Talk], list[Shown]],
) -> None:
    talks, shown = scene
    rng = np.random.default_rng(3)
    pieces = []
    for talk, one in zip(talks, shown, strict=True):
        # A person articulates a little otherwise than the table of gestures.
        real = np.maximum(0.0, one.mouth.opening * 1.05 + rng.normal(0, 5e-4, len(one.gate)))
        truth = Mouth(real, 0.5 - real, 0.1 * real)
        pieces.append(Piece(talk.voice, talk.voice, talk.voice, talk.sound, truth))
    table = clip_table(pieces, shown, lookahead_ms=120, draws=50, baselines=False)

    noise = [0.02 * voice(np.full(250, 0.2), 77)]
    quiet = [shown_of(np.zeros(250), np.zeros(250))]
    measured = [measure_talk(t, s) for t, s in zip(talks, shown, strict=True)]
    counts = total(m.counts for m in measured)
    good = {
        **clip_figures(table),
        "closures": counts.recall,
        "false_closures": counts.false_share,
        "gate_in_speech": float(np.mean([m.gate for m in measured])),
        "negatives": open_share(quiet),
    }
    assert misses(good) == []

    spoken, opened = speech_toys(talks, shown), silence_toys(noise, quiet)
    assert set(GIVEN_AWAY) == {toy.name for toy in TOYS} == set(spoken) == set(opened)
    for name, key in GIVEN_AWAY.items():
        figures = {
            **figures_of(table.row(name)),
            **spoken[name],
            "negatives": opened[name],
        }
        assert key in misses(figures), (name, figures)


def test_the_table_has_an_interval_for_every_gain(scene: tuple[list[Talk], list[Shown]]) -> None:
    talks, shown = scene
    pieces = [
        Piece(t.voice, t.voice, t.voice, t.sound, s.mouth)
        for t, s in zip(talks[:2], shown[:2], strict=True)
    ]
    worse = [shown_of(np.roll(s.mouth.opening, 3), s.gate.astype(float)) for s in shown[:2]]
    table = clip_table(
        pieces, shown[:2], lookahead_ms=120, against=worse, draws=50, baselines=False
    )
    rows = {row["name"]: row for row in clip_json(table)["rows"]}
    assert rows["measured"]["macro"]["r"]["value"] == pytest.approx(1.0)
    gain = rows["against"]["gain"]["macro"]
    assert 0.0 < gain["low"] < gain["value"] < gain["high"]
    assert rows["half open"]["macro"]["r_width"]["value"] is None
    assert rows["half open"]["macro"]["lag_ms"]["value"] is None


def test_what_follows_its_phones_is_measured_so(scene: tuple[list[Talk], list[Shown]]) -> None:
    talks, shown = scene
    good = measure_talk(talks[0], shown[0])
    assert good.r > 0.99 and abs(good.lag) < 5 and good.amplitude == pytest.approx(1.0)
    assert good.gate == 1.0 and good.counts.recall == 1.0
    turned = shown_of(shown[0].mouth.opening[::-1].copy(), np.zeros(500))
    other = measure_talk(talks[0], turned)
    assert other.r < 0.5 and other.gate == 0.0


def test_noise_and_whisper_leave_the_phones_where_they_are(
    scene: tuple[list[Talk], list[Shown]],
) -> None:
    talks, _ = scene
    for other in (in_noise(talks[:2]), whispered(talks[:2])):
        for before, after in zip(talks, other, strict=False):
            assert after.phones == before.phones and after.frames == before.frames
            assert after.sound.dtype == np.float32 and np.isfinite(after.sound).all()
            assert not np.array_equal(after.sound, before.sound)


def test_targets_know_their_bounds() -> None:
    keys = [t.key for t in TARGETS]
    assert len(set(keys)) == len(keys)
    r = next(t for t in TARGETS if t.key == "clips_r")
    assert r.met(0.33) and not r.met(0.329)
    lag = next(t for t in TARGETS if t.key == "clips_lag_ms")
    assert lag.met(20.0) and lag.met(-60.0) and not lag.met(20.5) and not lag.met(-61.0)
    assert misses({"clips_r": None, "clips_lag_ms": 30.0}) == ["clips_lag_ms"]


def test_frames_stand_in_the_middle_of_their_time() -> None:
    assert np.allclose(frame_times(3), [0.02, 0.06, 0.10])
