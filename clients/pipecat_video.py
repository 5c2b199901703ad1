"""The avatar in a Pipecat pipeline: a video service between the voice and the transport.

    Pipeline([transport.input(), stt, llm, tts, VisavisVideoService(server=…), transport.output()])

It takes the speech of the text-to-speech service, and gives voice and face as the person says it,
over a session with a server (`clients/session.py`). Needs `pipecat-ai` (the extra `pipecat`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import av
import numpy as np
from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

from visavis.clients.errors import ClientError
from visavis.clients.session import AvatarSession, Picture, PlaybackFinished, Voice
from visavis.clients.utterances import Utterances

__all__ = ["VisavisVideoService"]

SPEECH_RATE = 24_000
VOICE_RATE = 48_000
PIECES = 256
"""Of speech that wait to be sent; then the pipeline waits."""


class VisavisVideoService(AIService):
    """Give a bot a face.

    TTSAudioRawFrame goes in at any pace and comes out at the pace of speech, at 48 kHz, with
    OutputImageRawFrame in RGB. TTSStoppedFrame comes out when its utterance was said. An
    InterruptionFrame clears. All other frames pass. Where the server cannot be reached or ends the
    session, an ErrorFrame goes upstream, and the bot speaks on without a face.

    Args:
        server: of visavis, as in https://avatar.example.
        person: who; the server's own choice where None.
        token: where the server wants one.
        look: what the session chooses at its start, as for `clients.session.AvatarSession.choose`.
    """

    def __init__(
        self,
        *,
        server: str,
        person: str | None = None,
        token: str | None = None,
        look: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._server, self._person, self._token = server, person, token
        self._look = look
        self._session: AvatarSession | None = None
        self._utterances: Utterances | None = None
        self._speech: asyncio.Queue[TTSAudioRawFrame | TTSStoppedFrame] = asyncio.Queue(PIECES)
        self._stops: list[TTSStoppedFrame] = []  # of utterances that are not said yet
        self._all_said = asyncio.Event()  # there are none of those
        self._all_said.set()
        self._resampler = create_stream_resampler()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, frame: StartFrame) -> None:
        """Open the session."""
        await super().start(frame)
        try:
            self._session = await AvatarSession.open(
                self._server,
                person=self._person,
                token=self._token,
                rate=SPEECH_RATE,
                choices=self._look,
            )
        except ClientError as error:
            await self.push_error(f"visavis: {error}", exception=error)
            return
        self._utterances = utterances = Utterances(self._session)
        self._tasks = [
            self.create_task(self._send(utterances)),
            self.create_task(self._receive(self._session, utterances)),
        ]

    async def stop(self, frame: EndFrame) -> None:
        """End the session, when all was said."""
        await super().stop(frame)
        await self._all_said.wait()
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """End the session at once."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """End the session if it still runs."""
        await super().cleanup()
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take speech, clear when interrupted, let all else pass."""
        await super().process_frame(frame, direction)
        if self._utterances is not None:
            if isinstance(frame, TTSAudioRawFrame | TTSStoppedFrame):
                if isinstance(frame, TTSStoppedFrame):
                    self._stops.append(frame)
                    self._all_said.clear()
                await self._speech.put(frame)
                await self._pass_on_if_lost()  # while it waited
                return
            if isinstance(frame, InterruptionFrame):
                await self._interrupt(self._utterances)
        await self.push_frame(frame, direction)

    async def _interrupt(self, utterances: Utterances) -> None:
        while not self._speech.empty():
            self._speech.get_nowait()
        self._stops.clear()
        self._all_said.set()
        self._resampler = create_stream_resampler()
        try:
            await utterances.clear()
        except ClientError as error:
            await self._lost(error)

    async def _send(self, utterances: Utterances) -> None:
        """Send what was put in. A task of its own: Pipecat cancels `process_frame`."""
        try:
            while True:
                frame = await self._speech.get()
                resampler = self._resampler
                if isinstance(frame, TTSStoppedFrame):
                    rest = await resampler.flush()
                    if resampler is self._resampler:
                        await utterances.say(rest)
                    if not await utterances.end() and frame in self._stops:  # nothing was said
                        self._stops.remove(frame)
                        await self._stopped(frame)
                    continue
                pcm = np.frombuffer(frame.audio, "<i2").reshape(-1, frame.num_channels)
                mono = pcm.mean(1).astype("<i2").tobytes()
                said = await resampler.resample(mono, frame.sample_rate, SPEECH_RATE)
                if resampler is self._resampler:  # not interrupted meanwhile
                    await utterances.say(said)
        except ClientError as error:
            await self._lost(error)

    async def _receive(self, session: AvatarSession, utterances: Utterances) -> None:
        try:
            async for event in utterances:
                match event:
                    case Picture():
                        await self.push_frame(_image(event, session.width, session.height))
                    case Voice():
                        pcm = np.rint(event.pcm * 32767).astype("<i2").tobytes()
                        await self.push_frame(TTSAudioRawFrame(pcm, VOICE_RATE, 1))
                    case PlaybackFinished() if self._stops:
                        await self._stopped(self._stops.pop(0))
        except ClientError as error:
            await self._lost(error)

    async def _lost(self, error: ClientError) -> None:
        """The session is over: say so once, and let the voice pass from now on."""
        if self._utterances is not None:
            self._utterances = None
            await self.push_error(f"visavis: {error}", exception=error)
            await self._pass_on_if_lost()

    async def _pass_on_if_lost(self) -> None:
        """Where nobody sends what waits, it goes on as it is."""
        if self._utterances is None:
            while not self._speech.empty():
                await self.push_frame(self._speech.get_nowait())
            self._stops.clear()
            self._all_said.set()

    async def _stopped(self, frame: TTSStoppedFrame) -> None:
        await self.push_frame(frame)
        if not self._stops:
            self._all_said.set()

    async def _close(self) -> None:
        self._utterances = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await self.cancel_task(task)
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _image(picture: Picture, width: int, height: int) -> OutputImageRawFrame:
    frame = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p")
    rgb = frame.to_ndarray(format="rgb24")
    image = OutputImageRawFrame(rgb.tobytes(), (width, height), "RGB")
    image.sync_with_audio = True  # in order with the voice around it
    return image
