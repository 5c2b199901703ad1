"""The avatar as a participant of a LiveKit room: the face of a LiveKit agent.

    avatar = VisavisAvatar("https://avatar.example")
    await avatar.start(agent_session, room=ctx.room)

`FaceGenerator` is what LiveKit's AvatarRunner asks for: speech in, voice and face out. It goes over
a session with a server (`clients/session.py`). Needs `livekit-agents` (the extra `livekit`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import numpy as np
from livekit import api, rtc
from livekit.agents import AgentSession
from livekit.agents.types import ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    QueueAudioOutput,
    VideoGenerator,
)
from livekit.agents.voice.avatar import AvatarSession as LiveKitAvatarSession

from visavis.clients.session import AvatarSession, Picture, PlaybackFinished, Voice
from visavis.clients.utterances import Utterances

__all__ = ["FaceGenerator", "VisavisAvatar"]

SPEECH_RATE = 24_000
VOICE_RATE = 48_000
IDENTITY = "visavis-avatar-agent"


class FaceGenerator(VideoGenerator):
    """Speech to voice and face, over an open session of 24 kHz.

    Args:
        session: whoever opened it closes it.
    """

    def __init__(self, session: AvatarSession) -> None:
        self._session = session
        self._utterances = Utterances(session)
        self._resampler: rtc.AudioResampler | None = None
        self._from_rate = SPEECH_RATE

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Say a piece, or end the utterance. Waits while the server has enough.

        Raises:
            ValueError: more than one channel.
            ClientError: the session has ended.
        """
        if isinstance(frame, AudioSegmentEnd):
            resampler, self._resampler = self._resampler, None
            await self._say(resampler.flush() if resampler else [])
            await self._utterances.end()
            return
        if frame.num_channels != 1:
            raise ValueError(f"speech has one channel, not {frame.num_channels}")
        if frame.sample_rate == SPEECH_RATE:
            await self._say([frame])
            return
        if self._resampler is None or self._from_rate != frame.sample_rate:
            self._resampler = rtc.AudioResampler(frame.sample_rate, SPEECH_RATE, num_channels=1)
            self._from_rate = frame.sample_rate
        await self._say(self._resampler.push(frame))

    async def _say(self, frames: list[rtc.AudioFrame]) -> None:
        for frame in frames:
            await self._utterances.say(bytes(frame.data))

    async def clear_buffer(self) -> None:
        """Barge-in. No voice of before comes out of the iterator from now on."""
        self._resampler = None
        await self._utterances.clear()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """The face all the time; the voice while an utterance is said, and its end.

        Raises:
            ClientError: the session has ended.
        """
        async for event in self._utterances:
            match event:
                case Picture():
                    yield rtc.VideoFrame(
                        self._session.width,
                        self._session.height,
                        rtc.VideoBufferType.I420,
                        event.i420.tobytes(),
                    )
                case Voice():
                    yield _audio_frame(event)
                case PlaybackFinished():
                    yield AudioSegmentEnd()


def _audio_frame(voice: Voice) -> rtc.AudioFrame:
    pcm = np.rint(voice.pcm * 32767).astype("<i2")
    return rtc.AudioFrame(pcm.tobytes(), VOICE_RATE, 1, len(pcm))


class VisavisAvatar(LiveKitAvatarSession):
    """The face of a LiveKit agent.

    It joins the agent's room as a participant of its own, which publishes voice and face on the
    agent's behalf, and takes the agent's speech.

    Args:
        server: of visavis, as in https://avatar.example.
        person: who; the server's own choice where None.
        token: where the server wants one.
        identity: the participant's.
        look: what the session chooses at its start, as for `clients.session.AvatarSession.choose`.
        new_room: makes the room object that the participant joins with.
    """

    def __init__(
        self,
        server: str,
        *,
        person: str | None = None,
        token: str | None = None,
        identity: str = IDENTITY,
        look: Mapping[str, Any] | None = None,
        new_room: Callable[[], rtc.Room] = rtc.Room,
    ) -> None:
        super().__init__()
        self._server, self._person, self._token = server, person, token
        self._identity = identity
        self._look = look
        self._new_room = new_room
        self._session: AvatarSession | None = None
        self._own_room: rtc.Room | None = None
        self._runner: AvatarRunner | None = None

    @property
    def avatar_identity(self) -> str:
        """The participant's identity."""
        return self._identity

    @property
    def provider(self) -> str:
        """Of the avatar."""
        return "visavis"

    async def start(
        self,
        agent_session: AgentSession,
        room: rtc.Room,
        *,
        livekit_url: str | None = None,
        livekit_api_key: str | None = None,
        livekit_api_secret: str | None = None,
    ) -> None:
        """Join the room and take the agent's speech.

        Args:
            agent_session: whose voice it becomes.
            room: the agent's, connected.
            livekit_url, livekit_api_key, livekit_api_secret: LIVEKIT_URL, LIVEKIT_API_KEY and
                LIVEKIT_API_SECRET of the environment where None.

        Raises:
            ValueError: one of them is missing.
            ClientError: the visavis server refused or cannot be reached.
            rtc.ConnectError: LiveKit refused.
        """
        url = livekit_url or os.environ.get("LIVEKIT_URL")
        key = livekit_api_key or os.environ.get("LIVEKIT_API_KEY")
        secret = livekit_api_secret or os.environ.get("LIVEKIT_API_SECRET")
        if not (url and key and secret):
            raise ValueError("LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be set")
        await super().start(agent_session, room)
        try:
            self._session = session = await AvatarSession.open(
                self._server,
                person=self._person,
                token=self._token,
                rate=SPEECH_RATE,
                choices=self._look,
            )
            self._own_room = self._new_room()
            await self._own_room.connect(url, self._ticket(room, key, secret))
            speech = QueueAudioOutput(sample_rate=SPEECH_RATE, wait_playback_start=True)
            self._runner = AvatarRunner(
                self._own_room,
                audio_recv=speech,
                video_gen=FaceGenerator(session),
                options=AvatarOptions(
                    session.width, session.height, session.fps, VOICE_RATE, audio_channels=1
                ),
            )
            await self._runner.start()
        except BaseException:
            await self.aclose()
            raise
        agent_session.output.replace_audio_tail(speech)

    def _ticket(self, room: rtc.Room, key: str, secret: str) -> str:
        """The JSON Web Token with which the participant joins."""
        ticket: str = (
            api.AccessToken(key, secret)
            .with_kind("agent")
            .with_identity(self._identity)
            .with_name("visavis")
            .with_grants(api.VideoGrants(room_join=True, room=room.name))
            .with_attributes({ATTRIBUTE_PUBLISH_ON_BEHALF: room.local_participant.identity})
            .to_jwt()
        )
        return ticket

    async def aclose(self) -> None:
        """Leave the room and end the session; calling it again does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.aclose()
        own_room, self._own_room = self._own_room, None
        if own_room is not None:
            await own_room.disconnect()
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await super().aclose()
