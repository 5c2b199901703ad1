"""The picture's way from the engine to the peer: chosen, painted and compressed in a pool, sent.

The choice itself is :class:`visavis.server.media.face.FaceLine`'s, rate and size are
:class:`visavis.server.rate.plan.SendPlan`'s, what is shown is
:class:`visavis.server.look.painter.Painter`'s; here they meet the pool and the transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame
from visavis.server.look.look import Look
from visavis.server.look.painter import Painter
from visavis.server.media.budget import BudgetControl
from visavis.server.media.encoder import Encoded, OpenEncoder, VideoEncoder, open_encoder
from visavis.server.media.face import TICK_SECONDS, FaceLine, Job
from visavis.server.media.stats import MediaObserver, RunningMean
from visavis.server.media.transport import Transport
from visavis.server.rate.plan import SendPlan

__all__ = ["FaceSender", "Outlet"]

logger = logging.getLogger(__name__)

VIDEO_PTS_PER_TICK = 3600


class Outlet(NamedTuple):
    """Where frames may leave now, and when frame 0 of the session was due there."""

    transport: Transport
    due_of_first: float


class FaceSender:
    """One session's picture. All calls come on the event loop.

    Args:
        look: what is shown of the engine's frames, until another is.
        encoders: the pool that paints and compresses; one frame of the session is there at a time.
        open_encoder: opens its encoder, in the pool, when the first frame comes.
        outlet: None while nothing may leave.
        relay: takes each frame that was sent too, with its pts.
        budget: learns how late frames are ready.
        observer: who keeps the histograms.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        look: Look,
        *,
        encoders: Executor,
        open_encoder: OpenEncoder = open_encoder,
        outlet: Callable[[], Outlet | None],
        relay: Callable[[Encoded, int], None],
        budget: BudgetControl,
        observer: MediaObserver,
        clock: Callable[[], float],
    ) -> None:
        self.line = FaceLine()
        self.plan = SendPlan(*look.size)
        self.missing = 0
        """Frames that were left out between two that were sent."""
        self._look = look
        self._encoders = encoders
        self._open_encoder = open_encoder
        self._outlet = outlet
        self._relay = relay
        self._budget = budget
        self._observer = observer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._painter = Painter()
        self._drawn: NDArray[np.uint8] | None = None  # what the engine drew of the last one
        self._encoder: VideoEncoder | None = None
        self._opened = look.size  # the full size that the encoder was opened for
        self._encoding: asyncio.Future[Encoded] | None = None
        self._encode_ms = RunningMean()
        self._last = -1

    @property
    def encode_ms(self) -> float:
        """CPU time of painting and compressing a frame, lately."""
        return self._encode_ms.value

    def show(self, look: Look) -> None:
        """Show what comes from now on in another way."""
        if look.size != self._look.size:
            self.plan.resize(*look.size, halves=1 + look.stacked)
        self._look = look

    def offer(self, frame: Frame, *, due: float) -> None:
        """Take a frame from the engine, numbered from the session's beginning."""
        now = self._clock()
        if self.line.offer(frame, due=due, now=now):
            self._encode_next(now)
        else:
            self._ready(now - due)

    def send(self, now: float) -> None:
        """Send the frames that are due."""
        outlet = self._outlet()
        if outlet is None:
            return
        for encoded in self.line.send(due_of_first=outlet.due_of_first, now=now):
            if self._last >= 0:
                self.missing += encoded.index - self._last - 1
            self._last = encoded.index
            self.plan.sent(len(encoded.data), now, key=encoded.key)
            pts = encoded.index * VIDEO_PTS_PER_TICK
            if not outlet.transport.send_face(encoded, pts):
                self.line.want_key_frame()
            self._relay(encoded, pts)

    def pause_over(self) -> None:
        """The session was suspended: frames that were left out meanwhile are not missed."""
        self.line.restart()
        self._last = -1

    def change_codec(self) -> None:
        """Another transport wants another codec; only while nothing is encoded (`settle`)."""
        self._encoder = None

    async def settle(self) -> None:
        """Wait until nothing is encoded."""
        with contextlib.suppress(Exception):
            while self._encoding is not None and not self._encoding.done():
                await asyncio.wait([self._encoding])

    async def aclose(self) -> None:
        """Wait for the frame in the pool; nothing leaves any more. May be called again."""
        await self.settle()
        self._outlet = _closed

    def _encode_next(self, now: float) -> None:
        outlet = self._outlet()
        if outlet is None or not outlet.transport.takes_face(self.line.ready):
            return
        job = self.line.next_job(due_of_first=outlet.due_of_first, now=now)
        if job is None:
            return
        rate, size = self.plan.ask(now)
        mime_type = outlet.transport.video_mime_type
        future = self._loop.run_in_executor(
            self._encoders, self._encode, job, self._look, mime_type, rate, size
        )
        self._encoding = future
        future.add_done_callback(self._encoded)

    def _encode(
        self, job: Job, look: Look, mime_type: str, rate: int, size: tuple[int, int]
    ) -> Encoded:
        """In the pool."""
        started = time.thread_time()
        if self._encoder is None or look.size != self._opened:
            # A new one for another look: so one holds three sizes at most.
            self._encoder = self._open_encoder(mime_type, *look.size)
            self._opened = look.size
        picture = self._painter.paint(look, job.i420, job.alpha, size)
        distinct = self._drawn is None or not np.array_equal(self._drawn, job.i420)
        self._drawn = job.i420
        painted = (time.thread_time() - started) * 1000
        made = self._encoder.encode(job.index, picture, key=job.key, bit_rate=rate)
        return replace(made, distinct=distinct, cpu_ms=made.cpu_ms + painted)

    def _encoded(self, future: asyncio.Future[Encoded]) -> None:
        if future.cancelled() or future.exception() is not None:
            self.line.encoded(None)
            if not future.cancelled():
                logger.error("a frame could not be encoded", exc_info=future.exception())
            return
        result = future.result()
        self.line.encoded(result)
        self._encode_ms.add(result.cpu_ms)
        self._observer.frame_encoded(result.cpu_ms)
        outlet = self._outlet()
        if outlet is None:
            return
        now = self._clock()
        self._ready(now - outlet.due_of_first - result.index * TICK_SECONDS)
        self.send(now)
        self._encode_next(now)

    def _ready(self, late: float) -> None:
        self._budget.ready(late)
        self._observer.frame_ready(late * 1000)


def _closed() -> None:
    """The outlet of a session that has ended."""
