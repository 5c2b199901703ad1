"""What one gets from aiortc as it comes: the same echo engine behind its own stack.

Its own jitter buffer, decoder, encoders and rate control; the microphone's sound goes back as it
comes, and each picture as soon as the engine made it. Run as
``python -m visavis.benchmarks.network.plain``; started by the benchmark, not by people.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import sys
from pathlib import Path

import av
import numpy as np
import uvicorn
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from visavis.benchmarks.live.serving import make_engine
from visavis.engines.client import EngineClient, EngineSession, Frame

__all__ = ["PlainSession", "main", "mono_16k"]

MOST_FRAMES = 2  # an application that wants to be live keeps no old pictures
MOST_SOUND = 50  # a second
TICKS = 3600  # of 90 kHz a frame


def mono_16k(frame: av.AudioFrame, resampler: av.AudioResampler) -> NDArray[np.float32]:
    """A decoded frame as the engine takes it: f32[n], mono at 16 kHz."""
    pieces = [piece.to_ndarray().ravel() for piece in resampler.resample(frame)]
    return np.concatenate([np.zeros(0, np.float32), *pieces]).astype(np.float32)


class _Queue(MediaStreamTrack):
    """A track that gives what was put in; where nobody takes it, the oldest goes first."""

    def __init__(self, kind: str, limit: int) -> None:
        self.kind = kind
        super().__init__()
        self._items: asyncio.Queue[av.AudioFrame | av.VideoFrame] = asyncio.Queue(limit)
        self.dropped = 0

    def put(self, item: av.AudioFrame | av.VideoFrame) -> None:
        if self._items.full():
            self._items.get_nowait()
            self.dropped += 1
        self._items.put_nowait(item)

    async def recv(self) -> av.AudioFrame | av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._items.get()


class PlainSession:
    """One peer connection of plain aiortc, with an engine's session behind it."""

    def __init__(self, engine: EngineClient) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._voice = _Queue("audio", MOST_SOUND)
        self._face = _Queue("video", MOST_FRAMES)
        self._loop = asyncio.get_running_loop()
        self._engine: EngineSession = engine.open(engine.persons()[0].name, self._framed)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._connection.on("track", self._listen)

    async def answer(self, offer: str) -> str:
        """Answer an offer with a microphone and a picture to receive."""
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._connection.addTrack(self._voice)
        self._connection.addTrack(self._face)
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    def _listen(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._task = asyncio.create_task(self._echo(track))

    async def _echo(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                self._voice.put(frame)
                self._engine.push(mono_16k(frame, resampler))
        except MediaStreamError:
            return

    def _framed(self, frame: Frame) -> None:
        picture = av.VideoFrame.from_ndarray(frame.i420, format="yuv420p")
        picture.pts = frame.index * TICKS
        picture.time_base = fractions.Fraction(1, 90_000)
        self._loop.call_soon_threadsafe(self._face.put, picture)

    async def close(self) -> None:
        """End the connection, then the engine's session."""
        if self._closed:
            return
        self._closed = True
        self._voice.stop()
        self._face.stop()
        if self._task is not None:
            self._task.cancel()
        await self._connection.close()
        self._engine.close()


def application(folder: Path, person: str) -> Starlette:
    """``POST /sessions`` answers an offer, ``DELETE /sessions/N`` ends that session."""
    engine = make_engine("echo", person, folder)
    sessions: dict[str, PlainSession] = {}

    async def ready(request: Request) -> Response:
        return PlainTextResponse("ready")

    async def start(request: Request) -> Response:
        session = PlainSession(engine)
        identifier = str(len(sessions) + 1)
        sessions[identifier] = session
        answer = await session.answer((await request.body()).decode())
        headers = {"Location": f"/sessions/{identifier}"}
        return Response(answer, 201, headers, "application/sdp")

    async def end(request: Request) -> Response:
        session = sessions.get(request.path_params["id"])
        if session is None:
            return Response(status_code=404)
        await session.close()
        return Response(status_code=200)

    return Starlette(
        routes=[
            Route("/readyz", ready),
            Route("/sessions", start, methods=["POST"]),
            Route("/sessions/{id}", end, methods=["DELETE"]),
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--person", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args(arguments)
    uvicorn.run(
        application(given.folder, given.person),
        host="127.0.0.1",
        port=given.port,
        log_level="warning",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
