"""How many sessions a machine carries, and what stands in the way of more.

Whole sessions first: the real server as people run it, visitors over WebRTC in processes of their
own who all say something else, and numbers that grow until one is not carried. Then each part by
itself, in real time: the engine, the encoders, the packets. See ``docs/capacity.md``.
"""

from __future__ import annotations

import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visavis.benchmarks.extra import require_extra
from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.session import free_port, served
from visavis.benchmarks.live.speech import read, write
from visavis.benchmarks.sessions import whole
from visavis.benchmarks.sessions.copies import copies
from visavis.benchmarks.sessions.plot import plot as curves
from visavis.benchmarks.sessions.report import table
from visavis.benchmarks.sessions.sizing import costs, sizing
from visavis.benchmarks.sessions.verdict import CRITERIA, knee, search
from visavis.engines.errors import ConfigError
from visavis.engines.person import Person

__all__ = ["PARTS", "run", "table"]

PARTS = ("engine", "encode", "packets")
LEAST_SECONDS = 1.0
PART_SECONDS = 10.0  # of each step of a part alone; shorter where whole sessions are
MOST = 512
PACKETS_MOST = 512
READY_S, READY_PER_PERSON_S = 180.0, 15.0


def run(
    *,
    person: str = "presenter",
    persons: Sequence[int] = (1, 8, 64),
    sessions: Sequence[int] | None = None,
    seconds: float = 60.0,
    most: int = MOST,
    codec: str = "vp8",
    serve_options: str = "",
    parts: Sequence[str] = PARTS,
    decode_every: int = 8,
    speech: Path | None = None,
    plot: Path | None = None,
) -> dict[str, Any]:
    """Measure.

    Args:
        person: name of a built-in person, or path of a person file.
        persons: how many persons the sessions are spread over, one curve for each; copies under
            other names, each loaded by itself.
        sessions: numbers to try; by default doubling, then halving the gap, up to the knee.
        seconds: of each number that count.
        most: never more sessions than these.
        codec: ``vp8`` or ``h264``.
        serve_options: further options of ``visavis serve``.
        parts: which parts to measure by themselves.
        decode_every: one session in so many is decoded.
        speech: what visitors say cuts of; by default the person's own clip.
        plot: where to draw the curves, as SVG.

    Returns:
        What `table` prints, JSON throughout.

    Raises:
        ConfigError: the [bench] extra is missing, an argument is out of range, or the server does
            not start.
        PersonFileError: the person cannot be loaded.
        AudioInputError: it has no speech of its own.
    """
    require_extra("sessions", "psutil")
    if plot is not None and not plot.parent.is_dir():
        raise ConfigError(f"{plot.parent} is no folder to draw in.")
    if seconds < LEAST_SECONDS:
        raise ConfigError(f"Each number of sessions needs at least {LEAST_SECONDS:g} seconds.")
    if any(not 1 <= count <= MOST for count in (*persons, *(sessions or ()), most)):
        raise ConfigError(f"Numbers of sessions and of persons lie between 1 and {MOST}.")
    if unknown := set(parts) - set(PARTS):
        raise ConfigError(f"{unknown.pop()!r} is no part; there are {', '.join(PARTS)}.")
    most = max(sessions) if sessions else most
    loaded = load(person)
    result: dict[str, Any] = {
        "benchmark": "sessions",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "name": loaded.name,
        "person_id": loaded.id,
        "size": [loaded.width, loaded.height],
        "seconds": seconds,
        "codec": codec,
        "serve_options": serve_options,
        "criteria": CRITERIA,
        "machine": machine(),
        "versions": versions(),
        "parts": {},
        "curves": [],
    }
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder = Path(name)
        said = own_speech(loaded, folder) if speech is None else speech
        speech = folder / "speech.wav"
        write(speech, read(said))
        result["promised"] = _promised(person, folder, shlex.split(serve_options))
        for part in parts:
            _say(f"{part} alone")
            short = min(seconds, PART_SECONDS)
            if part == "packets":
                steps = _packets(person, loaded, speech, folder, short, codec, decode_every, most)
            else:
                steps = _alone(part, person, speech, short, codec, most)
            result["parts"][part] = {"knee": _knee(steps), "steps": steps}
        for count in persons:
            _say(f"whole sessions, {count} person(s)")
            result["curves"].append(
                _curve(
                    person if count == 1 else None, loaded, count, speech, folder,
                    sessions=sessions, seconds=seconds, most=most, codec=codec,
                    options=shlex.split(serve_options), decode_every=decode_every,
                )
            )  # fmt: skip
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    result["limit"] = limit(result)
    result["costs"] = costs(result)
    result["sizing"] = sizing(result["costs"])
    if plot is not None:
        plot.write_text(curves(result), "utf-8")
    return result


def limit(result: dict[str, Any]) -> dict[str, Any] | None:
    """Which part by itself carries least, and how many; None where none was measured."""
    knees = {part: made["knee"] for part, made in result["parts"].items()}
    if not knees:
        return None
    least = min(knees, key=lambda part: knees[part])
    return {"part": least, "sessions": knees[least]}


def _promised(person: str, folder: Path, options: Sequence[str]) -> dict[str, float]:
    """What a server says that it carries when nobody tells it."""
    port = free_port()
    command = [sys.executable, "-m", "visavis", "serve", "--port", str(port), "--person", person]
    with served([*command, "--i-have-consent", *options], port, folder / "promised.log"):
        return whole.promise(f"http://127.0.0.1:{port}")


def _curve(
    person: str | None,
    loaded: Person,
    count: int,
    speech: Path,
    folder: Path,
    *,
    sessions: Sequence[int] | None,
    seconds: float,
    most: int,
    codec: str,
    options: Sequence[str],
    decode_every: int,
) -> dict[str, Any]:
    """Whole sessions on one server, for one number of persons."""
    port = free_port()
    command = [sys.executable, "-m", "visavis", "serve", "--port", str(port)]
    command += ["--i-have-consent"]  # it was asked of whoever runs this; nobody else is shown it
    if person is not None:
        names = [loaded.name]
        command += ["--person", person]
    else:
        place = folder / f"persons-{count}"
        place.mkdir()
        paths = copies(loaded, count, place)
        names = [path.stem for path in paths]
        command += [part for path in paths for part in ("--person", str(path))]
    if not {"--max-sessions"} & set(options):
        command += ["--max-sessions", str(most)]
    began = time.monotonic()
    log = folder / f"server-{count}.log"
    ready_s = READY_S + READY_PER_PERSON_S * count
    with served([*command, *options], port, log, ready_s=ready_s) as process:
        ready = time.monotonic() - began
        load_ = whole.Load(
            f"http://127.0.0.1:{port}", process.pid, speech, names, codec=codec,
            seconds=seconds, decode_every=decode_every,
        )  # fmt: skip
        if sessions:
            steps = [_told(load_, number) for number in sorted(set(sessions))]
        else:
            steps = search(lambda number: _told(load_, number), most)
    return {
        "persons": count,
        "copies": person is None,
        "ready_s": round(ready, 2),
        "knee": _knee(steps),
        "steps": sorted(steps, key=lambda one: int(one["sessions"])),
    }


def _told(load_: whole.Load, count: int) -> dict[str, Any]:
    """A step; one that failed is tried once more, since a machine can have a bad minute."""
    made = whole.step(load_, count)
    if not made["carried"] and made["opened"] == count:
        _say(f"{count} session(s), once more: " + "; ".join(made["why_not"]))
        first = made["why_not"]
        made = whole.step(load_, count) | {"first_try": first}
    _say(f"{count} session(s): " + ("carried" if made["carried"] else "; ".join(made["why_not"])))
    return made


def _packets(
    person: str, loaded: Person, speech: Path, folder: Path,
    seconds: float, codec: str, decode_every: int, most: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Whole sessions on a server whose pictures cost nothing."""
    port = free_port()
    places = min(most, PACKETS_MOST)
    command = [sys.executable, "-m", "visavis.benchmarks.sessions.serving", "--person", person]
    command += ["--port", str(port), "--places", str(places)]
    with served(command, port, folder / "packets.log") as process:
        load_ = whole.Load(
            f"http://127.0.0.1:{port}", process.pid, speech, [loaded.name], codec=codec,
            seconds=seconds, decode_every=decode_every,
        )  # fmt: skip
        steps = search(lambda count: _told(load_, count), places)
    return sorted(steps, key=lambda one: int(one["sessions"]))


def _alone(
    part: str, person: str, speech: Path, seconds: float, codec: str, most: int
) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "visavis.benchmarks.sessions.alone", part, "--person", person]
    command += ["--speech", str(speech), "--seconds", str(seconds), "--codec", codec]
    done = subprocess.run([*command, "--most", str(most)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ConfigError(f"The {part} could not be measured by itself; the reason stands above.")
    steps: list[dict[str, Any]] = json.loads(done.stdout)
    return sorted(steps, key=lambda one: int(one["sessions"]))


def _knee(steps: Sequence[dict[str, Any]]) -> int:
    return knee({one["sessions"]: one["carried"] for one in steps})


def _say(text: str) -> None:
    """Progress, apart from the result: this takes long."""
    print(text, file=sys.stderr, flush=True)
