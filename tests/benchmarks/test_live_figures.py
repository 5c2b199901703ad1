"""The figures of a session whose truth is known, and of toys that must not get good ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import synthetic
from tests.benchmarks.synthetic import BROWSER_S, ENGINE_S, HOLD_S, PLAYOUT_S, UPLINK_S
from visavis.benchmarks.live import report
from visavis.benchmarks.live.timing import match

NO_COST = {"server": 0.3, "browser": 0.5}


session = cache(synthetic.session)


@cache
def echo() -> dict[str, Any]:
    """Figures of a good echo."""
    return report.figures(*session(lookahead_ms=40)) | {"cores": NO_COST}


def judged(**toy: Any) -> dict[str, bool]:
    """Verdicts, by target, on a session beside a good echo; worst of the rows of a target."""
    person = report.figures(*session(**toy)) | {
        "cores": NO_COST,
        "first_motion": {"slowest_s": 0.5},
    }
    rows = report.judge({"echo": echo(), "person": person})
    return {
        letter: all(row["passed"] for row in rows if row["target"] == letter)
        for letter in "abcdefg"
    }


def test_each_part_of_the_delay_is_found_again() -> None:
    server, page = session()
    times = match(server, page)
    middle = {name: float(np.nanmedian(part)) for name, part in times.parts().items()}
    assert middle["microphone to server"] == pytest.approx(UPLINK_S, abs=0.001)
    assert middle["look-ahead"] == pytest.approx(0.1, abs=0.021)
    assert middle["engine"] == pytest.approx(ENGINE_S, abs=0.001)
    assert middle["hold, encode, send"] == pytest.approx(HOLD_S, abs=0.001)
    assert middle["browser's buffer, decode, display"] == pytest.approx(BROWSER_S, abs=0.001)
    whole = sum(times.parts().values())
    known = np.isfinite(times.delay)
    assert known.mean() > 0.9
    assert np.abs(whole[known] - times.delay[known]).max() < 1e-9


def test_picture_and_voice_of_a_good_session_are_together() -> None:
    times = match(*session())
    assert float(np.nanmedian(times.offset)) == pytest.approx(0, abs=0.003)
    assert float(np.nanmedian(times.voice_delay - times.delay)) == pytest.approx(0, abs=0.003)


def test_a_good_session_passes_every_target() -> None:
    assert all(judged().values())


def test_drift_of_the_servers_clock_is_followed() -> None:
    figures = report.figures(*session(seconds=22, drift_ppm=200))
    assert figures["voice"]["found_in_microphone"] > 0.95
    assert figures["delay"]["timed"] > 0.9
    still = report.figures(*session(seconds=22))
    assert figures["delay"]["median_ms"] == pytest.approx(still["delay"]["median_ms"], abs=6)


def test_a_picture_120_ms_late_fails_the_voice_and_the_delay() -> None:
    late = judged(picture_late_s=0.12)
    assert not late["d"] and not late["e"]
    assert late["a"] and late["c"]


def test_a_voice_that_is_late_fails_against_the_picture() -> None:
    assert not judged(voice_late_s=0.1)["e"]


def test_an_early_voice_fails_too() -> None:
    assert not judged(voice_late_s=-0.06)["e"]


@pytest.mark.parametrize("voice", ["silent", "unrelated"])
def test_another_voice_than_the_speakers_proves_nothing(voice: str) -> None:
    assert not judged(voice=voice)["e"]


def test_pictures_given_twice_under_new_indices_are_not_distinct() -> None:
    assert not judged(repeat=2)["a"]
    figures = report.figures(*session(repeat=2))
    assert figures["flow"]["distinct_per_second"] == pytest.approx(12.5, abs=0.3)


def test_a_frozen_picture_has_no_rate_and_one_long_freeze() -> None:
    figures = report.figures(*session(repeat=10**6))
    assert figures["flow"]["distinct_per_second"] == 0
    assert figures["flow"]["freezes"] >= 1
    assert figures["flow"]["longest_gap_s"] > 10


def test_frames_that_never_come_are_counted() -> None:
    gone = tuple(range(60, 320, 26))
    server, page = session(drop=gone)
    figures = report.figures(server, page)
    assert figures["flow"]["dropped"] == pytest.approx(len(gone) / page.index[-1], rel=0.01)
    assert not judged(drop=gone)["c"]


def test_frames_the_browser_showed_while_we_looked_away_are_not_drops() -> None:
    server, page = session(drop=(200, 201))
    count = page.count + 2 * (page.index > 201)

    figures = report.figures(server, replace(page, count=count))
    assert figures["flow"]["dropped"] == 0
    assert figures["flow"]["unobserved"] > 0
    assert figures["flow"]["distinct_per_second"] == pytest.approx(25, abs=0.01)
    frozen = replace(server, picture=np.ones_like(server.picture))
    assert report.figures(frozen, replace(page, count=count))["flow"]["distinct"] == 1


def test_lips_that_rest_on_a_moving_head_do_not_count_as_speaking() -> None:
    figures = report.figures(*session(mouth="still"))
    assert figures["mouth"]["changing"] < 0.25
    assert not judged(mouth="still")["b"]


def test_lips_that_flap_in_silence_too_do_not_count_as_speaking() -> None:
    assert not judged(mouth="flaps")["b"]


def test_lips_that_speak_change() -> None:
    figures = report.figures(*session())
    assert figures["mouth"]["changing"] > 0.9
    assert figures["mouth"]["lag_s"] == pytest.approx(0, abs=0.03)


def test_a_mouth_that_shows_what_was_said_120_ms_ago_is_seen_in_the_pixels() -> None:
    figures = report.figures(*session(mouth_late_frames=3))
    assert figures["mouth"]["lag_s"] == pytest.approx(0.12, abs=0.03)
    assert figures["mouth"]["lag_correlation"] > 0.5


def test_nothing_is_nothing_and_passes_nothing() -> None:
    server, page = session(seconds=7)

    empty = replace(
        page,
        index=page.index[:0],
        presented=page.presented[:0],
        displayed=page.displayed[:0],
        received=page.received[:0],
        count=page.count[:0],
        mouth=page.mouth[:0],
        control=page.control[:0],
    )
    blank = report.figures(server, empty)
    rows = report.judge({"echo": blank, "person": blank})
    assert not any(row["passed"] for row in rows)


def test_the_output_device_counts_as_part_of_the_voices_way() -> None:

    server, page = session()
    with_device = match(server, page).offset
    without = match(server, replace(page, playout_s=0.0)).offset
    assert float(np.nanmedian(without - with_device)) == pytest.approx(PLAYOUT_S, abs=1e-6)
