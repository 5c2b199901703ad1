"""When each frame's voice was at microphone, server and ear, and when its picture was seen.

Everything is brought to one clock, the machine's monotonic one. The sound links the server's
timeline to the browser's tracks (`correlate`), so no time stamp on the way has to be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live import correlate
from visavis.benchmarks.live.correlate import Alignment
from visavis.benchmarks.live.records import RATE, ServerRecord

__all__ = ["FRAME_S", "PageRecord", "Sound", "Times", "match"]

FRAME_S = 0.04
LATEST_S = 2.5  # nothing is looked for that took longer than this
SLACK_S = 1.0  # pauses in a track are not recorded, so places in a recording shift by as much

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sound:
    """A track's samples as the page got them.

    Attributes:
        rate: Hz.
        pcm: f32[n], in the order of arrival, gaps not filled.
        start: i64[p], number of the first sample of each packet.
        time: f64[p], its time; monotonic seconds.
    """

    rate: int
    pcm: NDArray[np.float32]
    start: NDArray[np.int64]
    time: Seconds

    def time_at(self, seconds: Seconds) -> Seconds:
        """Time of what lies this far into the recording; NaN outside of it."""
        sample = seconds * self.rate
        packet = np.searchsorted(self.start, sample, side="right") - 1
        inside = (packet >= 0) & (sample <= self.pcm.size)
        packet = np.where(inside, packet, 0)
        time = self.time[packet] + (sample - self.start[packet]) / self.rate
        return np.where(inside, time, np.nan)


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One session, seen from the page. Times are monotonic seconds; NaN where none was told.

    Attributes:
        index: i64[f], read from each picture that was shown; -1 where it could not be read.
        presented, displayed, received: f64[f], as requestVideoFrameCallback reports them: handed
            to the compositor, expected on the screen, received whole. The later one of the first
            two counts as shown.
        count: i64[f], pictures presented so far; a step of more than one was shown unseen by us.
        mouth, control: u8[f, h, w], luma of two boxes, each 2 x 2 pixels averaged.
        microphone: the track the page sends.
        voice: the track it receives, as the browser's mixer takes it.
        playout_s: how long the output device holds a sample after that.
        clicks: when the page was clicked.
    """

    index: NDArray[np.int64]
    presented: Seconds
    displayed: Seconds
    received: Seconds
    count: NDArray[np.int64]
    mouth: NDArray[np.uint8]
    control: NDArray[np.uint8]
    microphone: Sound
    voice: Sound
    playout_s: float
    clicks: Seconds


@dataclass(frozen=True, slots=True)
class Times:
    """Where each shown frame was when. One entry a frame index, in rising order; seconds.

    Attributes:
        index: k.
        microphone: the first of its 40 ms of voice passed through the page's track.
        arrived: that sample was given to the engine.
        ready: all audio that the frame needs was given.
        made: the frame came back.
        received: it had come to the browser whole.
        displayed: it was first shown.
        heard: the first of its 40 ms of voice left the output device.
        in_microphone, in_voice: how the server's sound was found in the page's tracks.
    """

    index: NDArray[np.int64]
    microphone: Seconds
    arrived: Seconds
    ready: Seconds
    made: Seconds
    received: Seconds
    displayed: Seconds
    heard: Seconds
    in_microphone: Alignment
    in_voice: Alignment

    @property
    def delay(self) -> Seconds:
        """From the microphone to the picture."""
        return self.displayed - self.microphone

    @property
    def voice_delay(self) -> Seconds:
        """From the microphone to the ear."""
        return self.heard - self.microphone

    @property
    def offset(self) -> Seconds:
        """Picture minus voice: positive where the picture is late."""
        return self.displayed - self.heard

    def parts(self) -> dict[str, Seconds]:
        """The delay, cut into what follows one another; the parts add up to it."""
        return {
            "microphone to server": self.arrived - self.microphone,
            "look-ahead": self.ready - self.arrived,
            "engine": self.made - self.ready,
            "hold, encode, send": self.received - self.made,
            "browser's buffer, decode, display": self.displayed - self.received,
        }


def match(server: ServerRecord, page: PageRecord) -> Times:
    """Put both sides of a session together."""
    index, first = np.unique(page.index, return_index=True)
    first, index = first[index >= 0], index[index >= 0]
    known, where = np.unique(server.index, return_index=True)
    made = np.full(index.size, np.nan)
    hit = np.isin(index, known)
    made[hit] = server.made[where[np.searchsorted(known, index[hit])]]

    timeline = correlate.resample(server.pcm, RATE, correlate.RATE)
    begin = server.push_time[0] if server.push_time.size else 0.0
    spoken_at = _look(timeline, begin, page.microphone, (-LATEST_S, SLACK_S))
    heard_at = _look(timeline, begin, page.voice, (-SLACK_S, LATEST_S))
    start = index * FRAME_S
    sample = np.round(start * RATE).astype(np.int64)
    need = sample + server.lookahead_ms * RATE // 1000 - 1
    return Times(
        index=index,
        microphone=page.microphone.time_at(start + spoken_at.lag_at(start)),
        arrived=server.given(sample),
        ready=server.given(need),
        made=made,
        received=page.received[first],
        displayed=np.fmax(page.displayed, page.presented)[first],
        heard=page.voice.time_at(start + heard_at.lag_at(start)) + page.playout_s,
        in_microphone=spoken_at,
        in_voice=heard_at,
    )


def _look(timeline: Seconds, begin: float, sound: Sound, window: tuple[float, float]) -> Alignment:
    """Find the timeline, which began at ``begin``, in a track, no further off than ``window``."""
    recording = correlate.resample(sound.pcm, sound.rate, correlate.RATE)
    ahead = begin - (sound.time[0] if sound.time.size else begin)
    return correlate.align(timeline, recording, search=(ahead + window[0], ahead + window[1]))
