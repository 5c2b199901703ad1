"""Fan-out: one voice over WHIP, one face, and more and more who watch it over WHEP.

A server of its own, on the same machine as the speaker and the viewers, which are peers that count
packets and decode nothing. What viewers cost is the server's processor time less what it takes with
nobody watching, when the person is drawn and nothing is compressed. It is set against one encoder,
as the server's own metrics have it, and as many packet streams, each at the price that is measured
beforehand for its packets alone, without ICE, RTCP and a session (`server.media.cost`). See
``docs/whip-whep.md``.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiortc import RTCPeerConnection

from visavis.benchmarks.extra import require_extra
from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.processes import TreeMeter
from visavis.benchmarks.live.session import free_port, served
from visavis.benchmarks.live.speech import read
from visavis.benchmarks.sessions.exposition import parse, total
from visavis.benchmarks.sessions.visitor import Refused, Visitor
from visavis.benchmarks.sessions.voices import opus_packets, voice
from visavis.engines.errors import ConfigError
from visavis.server.media.cost import packet_seconds

__all__ = ["FIRST_PICTURE_LIMIT_MS", "MOST", "run", "table", "verdict"]

MOST = 1.5
"""How much of an encoder and its packet streams viewers may cost."""
FIRST_PICTURE_LIMIT_MS = 1000.0
SETTLE_S = 2.0
PATIENCE_S = 20.0
PACKET_SECONDS = 2.0


class _Speaker(Visitor):
    """Sends a voice and nothing else."""

    def offer_media(self, connection: RTCPeerConnection) -> None:
        connection.addTransceiver(self._microphone, "sendonly")

    def tap(self) -> None:
        """Nothing comes."""


class _Viewer(Visitor):
    """Watches."""

    def offer_media(self, connection: RTCPeerConnection) -> None:
        connection.addTransceiver("audio", "recvonly")
        connection.addTransceiver("video", "recvonly")


def run(
    *, person: str = "presenter", viewers: Sequence[int] = (1, 10, 50), seconds: float = 20.0
) -> dict[str, Any]:
    """Measure with so many viewers, one number after the other.

    Returns:
        What `table` prints, JSON throughout. ``passed`` says whether both targets were met.

    Raises:
        ConfigError: the server does not start, or turns somebody away.
        PersonFileError: the person cannot be loaded.
        AudioInputError: it has no speech of its own.
    """
    require_extra("fanout", "psutil")
    loaded = load(person)
    numbers = sorted(set(viewers))
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder = Path(name)
        said = opus_packets(voice(read(own_speech(loaded, folder)), 0))
        port = free_port()
        command = [
            *(sys.executable, "-m", "visavis", "serve", "--host", "127.0.0.1"),
            *("--port", str(port), "--person", person, "--max-sessions", "1"),
            *("--workers", "0", "--viewers", str(numbers[-1])),
        ]
        stream = asyncio.run(packet_seconds(PACKET_SECONDS, speaks=False))
        with served(command, port, folder / "server.log") as process:
            url = f"http://127.0.0.1:{port}"
            meter = TreeMeter(process.pid)
            try:
                base, rows = asyncio.run(_measure(url, said, numbers, seconds, meter))
            except Refused as error:
                raise ConfigError(f"The server turned somebody away: {error}.") from None
    for row in rows:
        extra = row["cpu"] - base["cpu"]
        row["extra_cpu"] = round(extra, 4)
        row["share"] = round(extra / (row["encode_cpu"] + row["viewers"] * stream), 3)
    result: dict[str, Any] = {
        "benchmark": "fanout",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "person_id": loaded.id,
        "machine": machine(),
        "versions": versions(),
        "seconds": seconds,
        "packet_stream_cpu": round(stream, 5),
        "nobody": base,
        "rows": rows,
        "most": MOST,
        "first_picture_limit_ms": FIRST_PICTURE_LIMIT_MS,
    }
    result["passed"] = verdict(rows)
    return result


def verdict(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the largest number of viewers cost little enough, and all saw a picture in time."""
    last = rows[-1]
    return (
        last["share"] <= MOST
        and all(row["first_picture_p95_ms"] < FIRST_PICTURE_LIMIT_MS for row in rows)
        and all(row["encodes_per_s"] < 1.1 * 25 for row in rows)
    )


async def _measure(
    url: str, said: Sequence[bytes], numbers: Sequence[int], seconds: float, meter: TreeMeter
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    speaker = _Speaker(url, said, person="")
    speaker.path = "/whip"
    watching: list[_Viewer] = []
    try:
        await speaker.open()
        await asyncio.sleep(SETTLE_S)
        base = await _window(url, watching, seconds, meter)
        rows = []
        for number in numbers:
            late = []
            while len(watching) < number:
                viewer = _Viewer(url, [], person="")
                viewer.path = f"/whep/{speaker.view}"
                watching.append(viewer)
                await viewer.open()
                late.append(await _first_picture(viewer))
            await asyncio.sleep(SETTLE_S)
            row = await _window(url, watching, seconds, meter)
            row["first_picture_p95_ms"] = round(1000 * float(np.quantile(late, 0.95)), 1)
            row["first_picture_median_ms"] = round(1000 * float(np.median(late)), 1)
            rows.append(row)
        return base, rows
    finally:
        await asyncio.gather(*(viewer.close() for viewer in watching))
        await speaker.close()


async def _first_picture(viewer: _Viewer) -> float:
    """Seconds from its request to the last packet of the first frame, which is a key frame."""
    end = time.monotonic() + PATIENCE_S
    while not any(viewer.face.marker):
        if time.monotonic() > end:
            raise ConfigError("A viewer sees no picture.")
        await asyncio.sleep(0.002)
    return viewer.face.at[viewer.face.marker.index(True)] - viewer.asked_at


async def _window(
    url: str, watching: Sequence[_Viewer], seconds: float, meter: TreeMeter
) -> dict[str, Any]:
    """Cores that the server used, and pictures that each viewer got a second."""
    before = await asyncio.to_thread(_counters, url)
    frames = [sum(viewer.face.marker) for viewer in watching]
    begun, spent = time.monotonic(), meter.sample()
    await asyncio.sleep(seconds)
    spent, passed = meter.sample() - spent, time.monotonic() - begun
    fps = [
        (sum(viewer.face.marker) - first) / passed
        for viewer, first in zip(watching, frames, strict=True)
    ]
    after = await asyncio.to_thread(_counters, url)
    return {
        "viewers": len(watching),
        "cpu": round(spent / passed, 4),
        "encode_cpu": round((after[0] - before[0]) / passed, 4),
        "encodes_per_s": round((after[1] - before[1]) / passed, 2),
        "frames_per_s": round(min(fps, default=0.0), 2),
    }


def _counters(url: str) -> tuple[float, float]:
    """Processor seconds of all compressions, and how many there were."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        samples = parse(answer.read().decode())
    name = "visavis_frame_encode_cpu_seconds"
    return total(samples, f"{name}_sum") or 0.0, total(samples, f"{name}_count") or 0.0


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    lines = [
        f"nobody watches: {result['nobody']['cpu']:.3f} cores; a packet stream alone takes "
        f"{result['packet_stream_cpu']:.4f}",
        "  viewers  cores  more than nobody  of encoder + streams  encodes/s  least fps  "
        "first picture, 95 %",
    ]
    for row in result["rows"]:
        lines.append(
            f"  {row['viewers']:7}  {row['cpu']:5.3f}  {row['extra_cpu']:16.3f}  "
            f"{row['share']:20.2f}  {row['encodes_per_s']:9.1f}  {row['frames_per_s']:9.1f}  "
            f"{row['first_picture_p95_ms']:16.0f} ms"
        )
    words = "passed" if result["passed"] else "MISSED"
    lines.append(
        f"  targets: at most {result['most']} times, one encode for all, a first picture within "
        f"{result['first_picture_limit_ms']:.0f} ms: {words}"
    )
    return "\n".join(lines)
