"""The pump of a session: one task that moves sound to the engine, and voice and face to the peer.

It wakes for each step of the voice, takes what is due from the microphone, pushes it to the engine,
and lets voice and frames go when they are due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from visavis.engines.client import EngineSession
from visavis.server.media.budget import BudgetControl
from visavis.server.media.face_sender import FaceSender
from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.voice import VoiceLine, VoiceStep

__all__ = ["Pump"]

logger = logging.getLogger(__name__)

STALL_SECONDS = 0.030
DRAIN_SECONDS = 0.010


class Pump:
    """Runs until it is stopped; a session that was suspended gets a new one.

    Args:
        voice: the voice's way.
        base_tick: the session's number of the tick with which this voice begins.
        engine: takes the sound.
        microphone: is told when the loop stood still.
        face: sends what is due.
        budget: of drawing and encoding.
        send_voice: takes each step that leaves.
        on_failed: called when it fails by itself.
        clock: seconds, monotonic.

    Attributes:
        stalls: how often the loop stood still.
    """

    def __init__(
        self,
        voice: VoiceLine,
        *,
        base_tick: int,
        engine: EngineSession,
        microphone: MicrophoneStream,
        face: FaceSender,
        budget: BudgetControl,
        send_voice: Callable[[VoiceStep], None],
        on_failed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.voice = voice
        self.base_tick = base_tick
        self.stalls = 0
        self._engine = engine
        self._microphone = microphone
        self._face = face
        self._budget = budget
        self._send_voice = send_voice
        self._on_failed = on_failed
        self._clock = clock
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Stop, and wait for it; may be called again."""
        # A task that was cancelled leads back here, which would have to wait for the collector.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.error("a session's pump failed", exc_info=task.exception())
            self._on_failed()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(max(0.0, self.voice.next_due - self._clock()))
            if self._clock() - self.voice.next_due > STALL_SECONDS:
                # The loop stood still. What came meanwhile is still in the sockets: read it first,
                # or it would be taken for lost.
                self._microphone.stalled(self._clock() + 2 * DRAIN_SECONDS)
                self.stalls += 1
                await asyncio.sleep(DRAIN_SECONDS)
            self._step(self._clock())

    def _step(self, now: float) -> None:
        pcm = self.voice.pull(now)
        if len(pcm):
            self._engine.push(pcm)
        for step in self.voice.send(now):
            self._send_voice(step)
        self._face.send(now)
        change = self._budget.plan(now)
        if change:
            self.voice.delay_more(change)
