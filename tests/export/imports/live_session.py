"""A person that was imported, live: a real server, a real session, a voice, pictures that move."""

from __future__ import annotations

import asyncio
import time

import httpx
import numpy as np

from tests.browser import serve_in_thread
from visavis.clients.session import AvatarSession, Picture, Voice
from visavis.engines.local import LocalEngine
from visavis.engines.person import Person
from visavis.engines.probe import probe_voice
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

__all__ = ["assert_talks_live"]

RATE = 16_000
SECONDS = 3.0
READY_S = 120.0


def assert_talks_live(person: Person) -> None:
    """Serve the person, say something, and look at what comes back.

    Raises:
        AssertionError: no voice, or a face that does not move with it.
    """
    engine = LocalEngine([person], threads=1, capacity=1)
    try:
        with serve_in_thread(create_app(ServerConfig(requests_per_second=50), engine)) as served:
            deadline = time.monotonic() + READY_S
            while httpx.get(f"{served.url}readyz").status_code != 200:
                assert time.monotonic() < deadline, "the server does not become ready"
                time.sleep(0.05)
            asyncio.run(_talk(served.url, person))
    finally:
        engine.close()


async def _talk(server: str, person: Person) -> None:
    voice = np.concatenate(list(probe_voice(person.lookahead_ms, round(SECONDS * 25))))
    pcm16 = (np.clip(voice, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    pictures: list[Picture] = []
    heard: list[Voice] = []
    async with await AvatarSession.open(server, rate=RATE) as session:
        assert (session.width, session.height) == (person.width, person.height)
        await session.speak(pcm16)
        await session.end_segment()
        async with asyncio.timeout(60):
            async for event in session:
                match event:
                    case Picture():
                        pictures.append(event)
                    case Voice():
                        heard.append(event)
                if heard and heard[-1].pts_s > SECONDS + 2.0 and len(pictures) > 8:
                    break
    loud = [event.pts_s for event in heard if np.abs(event.pcm).max() > 0.02]
    assert loud, "no voice comes back"
    luma = [picture.i420[: person.height].astype(np.int16) for picture in pictures]
    changes = [float(np.abs(b - a).max()) for a, b in zip(luma, luma[1:], strict=False)]
    spoken = [
        change
        for change, picture in zip(changes, pictures[1:], strict=True)
        if loud[0] <= picture.pts_s <= loud[-1]
    ]
    # What a codec leaves of a still is a few levels.
    assert spoken and max(spoken) > 12, f"the face does not move: {spoken}"
    stamps = [picture.pts_s for picture in pictures]
    assert stamps == sorted(stamps)
