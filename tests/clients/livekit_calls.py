"""Run in LiveKit's own environment by test_livekit.py: the avatar in a room that is a double.

All else is LiveKit's: AgentSession, AvatarRunner, QueueAudioOutput, the sources, the tokens.
Prints what happened, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np
from livekit import api, rtc
from livekit.agents import AgentSession

from visavis.clients.errors import ClientError, Refused
from visavis.clients.livekit_avatar import VisavisAvatar

KEY, SECRET = "key", "a secret that is long enough for HMAC-SHA-256"
KEYS = {"livekit_url": "ws://lk", "livekit_api_key": KEY, "livekit_api_secret": SECRET}


def level(frame: rtc.VideoFrame) -> int:
    """How bright the block is that the fake engine lets be as bright as the sound is loud."""
    luma = np.array(frame.data)[: frame.width * frame.height].reshape(frame.height, frame.width)
    return int(luma[68:76, 8:56].mean())


class Publication:
    async def wait_for_subscription(self) -> None:
        pass


class Participant:
    identity = "agent-1"

    def __init__(self) -> None:
        self.tracks: list[str] = []

    async def publish_track(self, track: Any, options: Any) -> Publication:
        self.tracks.append(track.name)
        return Publication()


class Room(rtc.EventEmitter[str]):
    """A room that only notes what it is told."""

    name = "lobby"

    def __init__(self) -> None:
        super().__init__()
        self.local_participant = Participant()
        self.ticket = ""
        self.connected = False

    def isconnected(self) -> bool:
        return self.connected

    async def connect(self, url: str, ticket: str) -> None:
        self.ticket, self.connected = ticket, True

    async def disconnect(self) -> None:
        self.connected = False


def tone(seconds: float, rate: int) -> list[rtc.AudioFrame]:
    t = np.arange(round(seconds * rate)) / rate
    pcm = (0.5 * np.sin(2 * np.pi * 440 * t) * 32767).astype("<i2")
    step = rate // 10
    return [
        rtc.AudioFrame(pcm[i : i + step].tobytes(), rate, 1, len(pcm[i : i + step]))
        for i in range(0, len(pcm), step)
    ]


async def main(url: str, token: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    pushed: list[rtc.VideoFrame | rtc.AudioFrame] = []
    push = rtc.AVSynchronizer.push

    async def note(self: Any, frame: Any, timestamp: float | None = None) -> None:
        pushed.append(frame)
        await push(self, frame, timestamp)

    rtc.AVSynchronizer.push = note  # type: ignore[method-assign]
    rooms: list[Room] = []

    def new_room() -> Any:
        rooms.append(Room())
        return rooms[-1]

    agent: Any = AgentSession()
    agents_room: Any = Room()
    avatar = VisavisAvatar(url, token=token, new_room=new_room)
    await avatar.start(agent, agents_room, **KEYS)
    output = agent.output.audio
    started: list[float] = []
    output.on("playback_started", lambda event: started.append(time.monotonic()))

    async def say(seconds: float, rate: int = 24_000) -> None:
        for frame in tone(seconds, rate):
            await output.capture_frame(frame)
        output.flush()

    # An answer, whole.
    await say(1.5)
    event = await asyncio.wait_for(output.wait_for_playout(), 20)
    told["whole"] = [event.playback_position, event.interrupted, len(started)]
    sound = [np.array(f.data) for f in pushed if isinstance(f, rtc.AudioFrame)]
    loud = np.flatnonzero(np.abs(np.concatenate(sound)) > 1500)
    told["loud_s"] = (int(loud[-1]) - int(loud[0])) / 48_000
    told["gap"] = int(np.diff(loud).max())
    pictures = [f for f in pushed if isinstance(f, rtc.VideoFrame)]
    told["pictures"] = len(pictures)
    told["levels"] = [level(f) for f in pictures]
    told["size"] = [pictures[0].width, pictures[0].height, int(pictures[0].type)]

    # Silence is no speech; the face goes on.
    pushed.clear()
    await asyncio.sleep(0.5)
    told["idle"] = [
        sum(isinstance(f, rtc.AudioFrame) for f in pushed),
        sum(isinstance(f, rtc.VideoFrame) for f in pushed),
    ]

    # Barge-in.
    pushed.clear()
    await say(20)
    await asyncio.sleep(1.2)
    output.clear_buffer()
    event = await asyncio.wait_for(output.wait_for_playout(), 5)
    at_clear = sum(isinstance(f, rtc.AudioFrame) for f in pushed)
    told["interrupted"] = [event.playback_position, event.interrupted, at_clear * 0.02]
    await asyncio.sleep(0.4)
    after = sum(isinstance(f, rtc.AudioFrame) for f in pushed) - at_clear
    told["after"] = after

    # And the next answer, of another rate.
    await say(0.5, 44_100)
    event = await asyncio.wait_for(output.wait_for_playout(), 20)
    told["next"] = [event.playback_position, event.interrupted]

    told["tracks"] = rooms[0].local_participant.tracks
    claims = api.TokenVerifier(KEY, SECRET).verify(rooms[0].ticket)
    told["ticket"] = [claims.identity, claims.kind, claims.video.room, claims.attributes]
    await avatar.aclose()
    await avatar.aclose()
    told["left"] = not rooms[0].connected

    errors: list[str] = []
    for server, wrong, keys in [
        (url, "wrong", KEYS),
        ("http://127.0.0.1:1", token, KEYS),
        (url, token, {}),
    ]:
        avatar = VisavisAvatar(server, token=wrong, new_room=new_room)
        try:
            await avatar.start(AgentSession(), agents_room, **keys)  # type: ignore[arg-type]
        except (ClientError, Refused, ValueError) as error:
            errors.append(type(error).__name__)
    told["errors"] = errors
    told["rooms"] = len(rooms)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
