"""A process full of visitors, apart from the server, so that what they cost is seen apart.

Run as ``python -m visavis.benchmarks.sessions.generator``; started by the benchmark, not by people.
A line of JSON comes in and one goes out, twice: who is to visit, and who was let in; from when to
when it counts, and what came. Then the input ends, and the visitors leave.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from visavis.benchmarks.live.speech import read
from visavis.benchmarks.sessions.arrivals import figures
from visavis.benchmarks.sessions.pictures import Pictures
from visavis.benchmarks.sessions.visitor import Refused, Visitor
from visavis.benchmarks.sessions.voices import opus_packets, voice

__all__ = ["main"]

AT_ONCE = 4  # visitors at the door


async def _visit(job: dict[str, Any]) -> None:
    recording = read(Path(job["speech"]))
    numbers = range(job["first"], job["first"] + job["count"])
    packets = {number: opus_packets(voice(recording, number, job["loop_s"])) for number in numbers}
    persons: list[str] = job["persons"]
    visitors = {
        number: Visitor(
            job["url"],
            packets[number],
            person=persons[number % len(persons)],
            codec=job["codec"],
            behind_s=0.020 * (number * 0.381966 % 1.0),
            pictures=Pictures(job["codec"]) if number % job["decode_every"] == 0 else None,
        )
        for number in numbers
    }
    door = asyncio.Semaphore(AT_ONCE)
    refused: list[str] = []

    async def enter(number: int) -> None:
        async with door:
            try:
                await visitors[number].open()
            except Refused as error:
                refused.append(str(error))
                await visitors.pop(number).close()

    await asyncio.gather(*(enter(number) for number in numbers))
    # A collection over all those packets would stop every visitor at once.
    gc.collect()
    gc.freeze()
    _say({"opened": [v.location for v in visitors.values()], "refused": refused})
    line = await asyncio.to_thread(sys.stdin.readline)
    if line:
        window = json.loads(line)
        begin, end = window["begin"], window["end"]
        await asyncio.sleep(max(0.0, begin - time.monotonic()))
        processor = time.process_time()
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        cores = (time.process_time() - processor) / (end - begin)
        await asyncio.sleep(window["grace"])
        _say({"cores": cores, "sessions": [_seen(n, v, begin, end) for n, v in visitors.items()]})
        await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(visitor.close() for visitor in visitors.values()))


def _seen(number: int, visitor: Visitor, begin: float, end: float) -> dict[str, Any]:
    return {
        "number": number,
        "location": visitor.location,
        **figures(
            visitor.face, visitor.voice, visitor.face_reports, visitor.voice_reports, begin, end
        ),
        "pictures": None if visitor.pictures is None else visitor.pictures.report(),
    }


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Visit as the first line says."""
    asyncio.run(_visit(json.loads(sys.stdin.readline())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
