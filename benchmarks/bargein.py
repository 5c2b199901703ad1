"""Barge-in: from `clear` to the last sample that is still spoken, and to the face that listens.

A server of its own, the person's own speech, the Python client over the WebSocket on the same
machine. Speech is given faster than it is said, as a model gives it; in the middle of a loud moment
the client says `clear`, and notes what still comes. A sample counts as heard when it came plus its
place in its packet: what a loudspeaker's own buffer adds is not in it. See ``docs/agents.md``.
"""

from __future__ import annotations

import asyncio
import datetime
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.session import free_port, served
from visavis.benchmarks.live.speech import read
from visavis.clients.session import AvatarSession, Picture, PlaybackFinished, Voice
from visavis.engines.errors import ConfigError

__all__ = ["LIMIT_MS", "heard_for", "run", "table"]

RATE = 48_000  # of `speech.read`
SEED = 1
LIMIT_MS = 80.0
LOUD = 0.02
WATCHED_S = 1.5  # after a clear
EARLIEST_S, LATEST_S = 0.6, 2.0  # in an answer
ANSWER_S = 8.0
PATIENCE_S = 20.0


@dataclass(slots=True)
class _Seen:
    """What came, with the monotonic time at which it came."""

    voices: list[tuple[float, Voice]] = field(default_factory=list)
    pictures: list[tuple[float, Picture]] = field(default_factory=list)
    finished: list[tuple[float, PlaybackFinished]] = field(default_factory=list)


def heard_for(voices: list[tuple[float, NDArray[np.float32]]], cleared: float) -> float:
    """Return seconds from `cleared` to the last loud sample that was heard after it.

    Args:
        voices: when 20 ms of voice came, and what they were, f32[960].
        cleared: when it was said.
    """
    last = cleared
    for came, pcm in voices:
        loud = np.flatnonzero(np.abs(pcm) > LOUD)
        if len(loud):
            last = max(last, came + (int(loud[-1]) + 1) / RATE)
    return last - cleared


def run(*, person: str = "presenter", repetitions: int = 20) -> dict[str, Any]:
    """Interrupt so many answers.

    Returns:
        What `table` prints, JSON throughout. ``passed`` says whether 95 % ended in time.

    Raises:
        ConfigError: the server does not start, or does not say what it is given.
        PersonFileError: the person cannot be loaded.
        AudioInputError: it has no speech of its own.
    """
    loaded = load(person)
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder = Path(name)
        samples = read(own_speech(loaded, folder))
        port = free_port()
        command = [
            *(sys.executable, "-m", "visavis", "serve", "--host", "127.0.0.1"),
            *("--port", str(port), "--person", person),
        ]
        with served(command, port, folder / "server.log"):
            rows = asyncio.run(_interrupt(f"http://127.0.0.1:{port}", samples, repetitions))
    voice = np.array([row["voice_ms"] for row in rows])
    face = np.array([row["face_ms"] for row in rows])
    result: dict[str, Any] = {
        "benchmark": "bargein",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "person_id": loaded.id,
        "seed": SEED,
        "machine": machine(),
        "versions": versions(),
        "repetitions": rows,
        "voice_ms": _figures(voice),
        "face_ms": _figures(face),
        "position_error_ms": _figures(np.abs([row["position_error_ms"] for row in rows])),
        "limit_ms": LIMIT_MS,
    }
    result["passed"] = result["voice_ms"]["p95"] < LIMIT_MS
    return result


async def _interrupt(
    server: str, samples: NDArray[np.float32], repetitions: int
) -> list[dict[str, float]]:
    chance = random.Random(SEED)
    pcm = (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    rows = []
    async with await AvatarSession.open(server, rate=RATE) as session:
        seen = _Seen()
        watching = asyncio.create_task(_watch(session, seen))
        try:
            for _ in range(repetitions):
                start = chance.randrange(0, max(1, len(pcm) - int(ANSWER_S * RATE)))
                answer = pcm[start : start + int(ANSWER_S * RATE)]
                rows.append(await _once(session, seen, answer, chance))
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    return rows


async def _once(
    session: AvatarSession, seen: _Seen, answer: NDArray[np.int16], chance: random.Random
) -> dict[str, float]:
    seen.voices.clear()
    seen.pictures.clear()
    seen.finished.clear()
    await session.speak(answer.tobytes())
    segment = await session.end_segment()
    generation = seen.pictures[-1][1].generation if seen.pictures else 0
    await asyncio.sleep(chance.uniform(EARLIEST_S, LATEST_S))
    # In the middle of a loud moment: in a pause anything would pass.
    end = time.monotonic() + PATIENCE_S
    while not (seen.voices and np.abs(seen.voices[-1][1].pcm).max() > 4 * LOUD):
        if time.monotonic() > end:
            raise ConfigError("The server does not say what it is given.")
        await asyncio.sleep(0.002)
    generation = seen.voices[-1][1].generation
    cleared = time.monotonic()
    await session.clear()
    await asyncio.sleep(WATCHED_S)
    finished = next((event for _, event in seen.finished if event.segment == segment), None)
    if finished is None or not finished.interrupted:
        raise ConfigError("The server did not say that the answer was interrupted.")
    said = sum(len(voice.pcm) for _, voice in seen.voices if voice.generation == generation)
    later = [came for came, picture in seen.pictures if picture.generation != generation]
    voices = [(came, voice.pcm) for came, voice in seen.voices if came > cleared - 0.02]
    # What came before the answer began is silence of the same generation: it is left out.
    quiet = _silence_before(seen, generation)
    return {
        "voice_ms": round(1000 * heard_for(voices, cleared), 2),
        "face_ms": round(1000 * (min(later) - cleared), 2) if later else float("inf"),
        "position_error_ms": round(1000 * ((said - quiet) / RATE - finished.position_s), 2),
    }


def _silence_before(seen: _Seen, generation: int) -> int:
    samples = 0
    for _, voice in seen.voices:
        if voice.generation != generation:
            continue
        if voice.pcm.any():
            return samples + int(np.flatnonzero(voice.pcm)[0])
        samples += len(voice.pcm)
    return samples


async def _watch(session: AvatarSession, seen: _Seen) -> None:
    async for event in session:
        now = time.monotonic()
        match event:
            case Voice():
                seen.voices.append((now, event))
            case Picture():
                seen.pictures.append((now, event))
            case PlaybackFinished():
                seen.finished.append((now, event))


def _figures(values: NDArray[np.floating[Any]]) -> dict[str, float]:
    return {
        "median": round(float(np.median(values)), 1),
        "p95": round(float(np.quantile(values, 0.95)), 1),
        "worst": round(float(np.max(values)), 1),
    }


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    lines = [f"{len(result['repetitions'])} answers interrupted; ms from clear to"]
    for name, words in (
        ("voice_ms", "the last sample that is spoken"),
        ("face_ms", "the first picture of the face that listens"),
        ("position_error_ms", "(how far off the position that is told is)"),
    ):
        row = result[name]
        lines.append(
            f"  {words:46} median {row['median']:6.1f}   95 % {row['p95']:6.1f}   "
            f"worst {row['worst']:6.1f}"
        )
    verdict = "passed" if result["passed"] else "MISSED"
    lines.append(f"  target: 95 % of voices end within {result['limit_ms']:.0f} ms: {verdict}")
    return "\n".join(lines)
