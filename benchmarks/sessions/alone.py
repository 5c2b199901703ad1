"""One part of a session by itself, for N sessions in real time: the engine, or the encoders.

Run as ``python -m visavis.benchmarks.sessions.alone``, so that nothing else shares its interpreter;
started by the benchmark, not by people. Prints the steps as JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.engines_of import DEVICES, runner_maker
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.speech import read
from visavis.benchmarks.sessions.arrivals import FRAME_S
from visavis.benchmarks.sessions.verdict import reasons, search
from visavis.benchmarks.sessions.voices import voice
from visavis.engines.client import PHASES, Frame
from visavis.engines.local import MAX_BATCH, LocalEngine
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.server.media.encoder import Encoded, open_encoder

__all__ = ["encode_step", "engine_step", "main", "rendered"]

STEP_S = 0.020
STEP = 320  # samples at 16 kHz
TICK = 640
SETTLE_S = 1.0
PICTURES = 100
ROOM = 64  # frames in a batch on a GPU
GATHER_S = 0.002  # for the rest of a phase's sessions, there

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


def at_16k(samples: F32) -> F32:
    """48 kHz to 16 kHz, by means of three."""
    whole: F32 = samples[: samples.size // 3 * 3].reshape(-1, 3).mean(axis=1)
    return whole


def engine_step(
    engine: LocalEngine,
    persons: Sequence[str],
    lookahead_ms: int,
    voices: Sequence[F32],
    seconds: float,
) -> dict[str, Any]:
    """Feed a session for each voice in real time; frames are late from when their sound was there.

    Args:
        engine: with places enough.
        persons: who is shown, in turn.
        lookahead_ms: of every session.
        voices: f32[n] at 16 kHz each, said again and again.
        seconds: that count.
    """
    made: list[list[tuple[int, float]]] = [[] for _ in voices]
    begin = time.monotonic() + 0.2
    sessions, starts = [], []
    for number in range(len(voices)):

        def note(frame: Frame, here: list[tuple[int, float]] = made[number]) -> None:
            here.append((frame.index, time.monotonic()))

        session = engine.open(
            persons[number % len(persons)], note, lookahead_ms=lookahead_ms, seed=number
        )
        sessions.append(session)
        starts.append(begin + FRAME_S * session.phase / PHASES)
    ends = begin + SETTLE_S + seconds
    queue = [(start + STEP_S, number, 0) for number, start in enumerate(starts)]
    heapq.heapify(queue)
    processor, counted = 0.0, begin + SETTLE_S
    try:
        while queue[0][0] < ends:
            due, number, step = queue[0]
            time.sleep(max(0.0, due - time.monotonic()))
            if not processor and due >= counted:
                processor, counted = time.process_time(), time.monotonic()
            said = voices[number]
            where = (step * STEP + np.arange(STEP)) % said.size
            sessions[number].push(said[where])
            heapq.heapreplace(queue, (due + STEP_S, number, step + 1))
        cores = (time.process_time() - processor) / (time.monotonic() - counted)
        time.sleep(FRAME_S)
        stats = [session.stats() for session in sessions]
    finally:
        for session in sessions:
            session.close()
    steps_ahead = -(-(lookahead_ms * 16) // STEP)
    rows = []
    for start, frames in zip(starts, made, strict=True):
        wanted = {k: start + STEP_S * (k * TICK // STEP + steps_ahead) for k, _ in frames}
        first, last = begin + SETTLE_S, ends - FRAME_S
        late = [at - wanted[k] for k, at in frames if first <= wanted[k] < last]
        rows.append(late)
    out = _step(rows, seconds - FRAME_S, cores)
    out["engine_ms"] = {
        "p50": round(float(np.median([one.engine_ms_p50 for one in stats])), 2),
        "p95": round(max(one.engine_ms_p95 for one in stats), 2),
    }
    return out


def encode_step(pictures: Sequence[U8], count: int, seconds: float, codec: str) -> dict[str, Any]:
    """Compress ``count`` streams in real time, each with an encoder, in a pool as the server's.

    A frame whose predecessor is not done when it is due is left out.
    """
    rows_, width = pictures[0].shape
    mime = {"vp8": "video/VP8", "h264": "video/H264"}[codec]
    encoders = [open_encoder(mime, width, rows_ * 2 // 3) for _ in range(count)]
    running: list[Future[Encoded] | None] = [None] * count
    late: list[list[float]] = [[] for _ in range(count)]
    lock = threading.Lock()
    begin = time.monotonic() + 0.1
    ends = begin + SETTLE_S + seconds
    queue = [(begin + FRAME_S * (n % PHASES) / PHASES, n, 0) for n in range(count)]
    heapq.heapify(queue)
    processor, counted = 0.0, begin + SETTLE_S

    def work(number: int, index: int, due: float) -> Encoded:
        picture = pictures[(index + 7 * number) % len(pictures)]
        made = encoders[number].encode(index, picture, key=index == 0)
        if due >= begin + SETTLE_S:
            with lock:
                late[number].append(time.monotonic() - due)
        return made

    with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as pool:
        while queue[0][0] < ends:
            due, number, index = queue[0]
            time.sleep(max(0.0, due - time.monotonic()))
            if not processor and due >= counted:
                processor, counted = time.process_time(), time.monotonic()
            before = running[number]
            if before is None or before.done():
                running[number] = pool.submit(work, number, index, due)
            heapq.heapreplace(queue, (due + FRAME_S, number, index + 1))
        cores = (time.process_time() - processor) / (time.monotonic() - counted)
    for future in running:
        if future is not None:
            future.result()  # an encoder's failure is ours
    return _step(late, seconds, cores)


def _step(late: Sequence[Sequence[float]], seconds: float, cores: float) -> dict[str, Any]:
    """Figures of a step as `verdict.reasons` takes them; ``late`` in seconds, by session."""
    expected = seconds / FRAME_S
    p95 = [1000 * float(np.percentile(one, 95)) if one else None for one in late]
    known = [value for value in p95 if value is not None]
    every = [value for one in late for value in one]
    out: dict[str, Any] = {
        "sessions": len(late),
        "opened": len(late),
        "least_fps": round(min(len(one) for one in late) / seconds, 3),
        "median_fps": round(float(np.median([len(one) for one in late])) / seconds, 3),
        "most_skipped": round(max(0.0, 1 - min(len(one) for one in late) / expected), 4),
        "worst_late_p95_ms": round(max(known), 2) if len(known) == len(late) else None,
        "late_p99_ms": round(1000 * float(np.percentile(every, 99)), 2) if every else None,
        "cores": {"server": round(cores, 4), "per_session": round(cores / len(late), 4)},
    }
    out["why_not"] = reasons(out)
    out["carried"] = not out["why_not"]
    return out


def rendered(person: Person, speech: F32, count: int = PICTURES) -> list[U8]:
    """Pictures of the person speaking, forwards and backwards: what an encoder meets.

    Args:
        speech: f32[n] at 16 kHz.
    """
    pipeline = Pipeline(person)
    state = pipeline.initial_state(1)
    first = 16 * person.lookahead_ms
    pictures: list[U8] = []
    for n in range(count):
        start = 0 if n == 0 else first + (n - 1) * TICK
        size = first if n == 0 else TICK
        item = Work(state, speech[(start + np.arange(size)) % speech.size])
        pipeline.advance([item])
        if item.error is not None:
            raise item.error
        assert item.i420 is not None
        pictures.append(item.i420)
    return pictures + pictures[-2:0:-1]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("engine", "encode"))
    parser.add_argument("--person", required=True)
    parser.add_argument("--speech", type=Path, help="the person's own where none is given")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--most", type=int, default=1)
    parser.add_argument("--codec", default="vp8")
    parser.add_argument("--counts", type=int, nargs="+", help="instead of a search")
    parser.add_argument("--persons", type=int, default=1, help="under as many names")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--backend")
    given = parser.parse_args(arguments)
    person = load(given.person)
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as folder:
        recording = read(given.speech or own_speech(person, Path(folder)))
    most = max(given.counts) if given.counts else given.most

    def steps_of(step: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        return [step(count) for count in given.counts] if given.counts else search(step, most)

    if given.part == "encode":
        pictures = rendered(person, at_16k(voice(recording, 0)))
        steps = steps_of(lambda count: encode_step(pictures, count, given.seconds, given.codec))
    else:
        voices = [at_16k(voice(recording, number)) for number in range(most)]
        persons = [
            dataclasses.replace(person, name=f"{person.name}-{number:03}")
            for number in range(given.persons)
        ]
        gpu = given.device == "cuda"
        engine = LocalEngine(
            persons,
            capacity=most,
            max_batch=ROOM if gpu else MAX_BATCH,
            gather_s=GATHER_S if gpu else 0.0,
            shares_cores=not gpu,
            make_runner=runner_maker(given.device, given.backend, room=ROOM),
        )
        names = [one.name for one in persons]
        try:
            steps = steps_of(
                lambda count: engine_step(
                    engine, names, person.lookahead_ms, voices[:count], given.seconds
                )
            )
        finally:
            engine.close()
    json.dump(steps, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
