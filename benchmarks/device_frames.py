"""Frames made on a GPU beside the same frames made on the processor: sessions of two persons.

Run as ``python -m visavis.benchmarks.device_frames``; part of ``gpu.sh``. Prints JSON; exits with
77 where there is no GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.engines_of import runner_maker
from visavis.benchmarks.live.persons import load
from visavis.engines.errors import BackendUnavailable
from visavis.engines.person import Person
from visavis.engines.pipeline import Runner, Work
from visavis.engines.probe import probe_voice

__all__ = ["compare", "main"]

NOT_RUN = 77
TICKS = 50
SESSIONS = 3  # of each person
MOST_RMS = 2.0  # levels, as between variants of a network
MOST_OFF = 0.001  # share of pixels more than FAR levels off
FAR = 16


def compare(
    persons: Sequence[Person],
    ours: Sequence[Runner],
    theirs: Sequence[Runner],
    *,
    ticks: int = TICKS,
    sessions: int = SESSIONS,
) -> dict[str, Any]:
    """Let both make the same frames.

    Args:
        persons: who is shown.
        ours, theirs: a runner for each person; the first are looked at, the second are believed.
        ticks: frames of each session.
        sessions: of each person.

    Returns:
        "frames", "rms" of the worst frame in levels, "off" (share of pixels over 16 levels off, of
        the worst frame), "largest" difference, and "agrees".
    """
    made = [_frames(persons, runners, ticks=ticks, sessions=sessions) for runners in (ours, theirs)]
    rms, off, largest = 0.0, 0.0, 0
    for one, other in zip(*made, strict=True):
        apart = np.abs(one.astype(np.int16) - other)
        rms = max(rms, float(np.sqrt(np.mean(apart.astype(np.float64) ** 2))))
        off = max(off, float(np.mean(apart > FAR)))
        largest = max(largest, int(apart.max()))
    return {
        "frames": len(made[0]),
        "rms": round(rms, 4),
        "off": round(off, 6),
        "largest": largest,
        "agrees": bool(made[0]) and rms <= MOST_RMS and off <= MOST_OFF,
    }


def _frames(
    persons: Sequence[Person], runners: Sequence[Runner], *, ticks: int, sessions: int
) -> list[NDArray[np.uint8]]:
    """Every frame of every session, in one order; runners that share a batch get one."""
    places = [(runner, seed) for runner in runners for seed in range(sessions)]
    states = [runner.initial_state(seed) for runner, seed in places]
    voice = probe_voice(persons[0].lookahead_ms, ticks + sessions)
    frames: list[NDArray[np.uint8]] = []
    for tick in range(ticks):
        work = []
        for (_, seed), state in zip(places, states, strict=True):
            # The first piece is longer; each session then says another part of the voice.
            pcm = voice[0] if tick == 0 else voice[1 + (tick - 1 + seed) % (len(voice) - 1)]
            work.append(Work(state, pcm))
        done: set[int] = set()
        for runner, _ in places:
            batch = [
                item
                for n, item in enumerate(work)
                if n not in done and places[n][0].batch_key == runner.batch_key
            ]
            done |= {n for n, item in enumerate(work) if any(item is one for one in batch)}
            if batch:
                runner.advance(batch)
        for item in work:
            if item.error is not None:
                raise item.error
            assert item.i420 is not None
            frames.append(np.array(item.i420))
    return frames


def main(arguments: list[str] | None = None) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--person", default="presenter")
    parser.add_argument("--backend", help="what runs the networks on the GPU")
    given = parser.parse_args(arguments)
    person = load(given.person)
    persons = [person, dataclasses.replace(person, name=f"{person.name}-2")]
    try:
        on_device = runner_maker("cuda", given.backend)
    except BackendUnavailable as error:
        print(error, file=sys.stderr)
        return NOT_RUN
    on_host = runner_maker("cpu")
    result = compare(persons, [on_device(p) for p in persons], [on_host(p) for p in persons])
    json.dump({"device": getattr(on_device, "name", "cuda"), **result}, sys.stdout)
    return 0 if result["agrees"] else 1


if __name__ == "__main__":
    sys.exit(main())
