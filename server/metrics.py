"""All Prometheus metrics, in one registry per app; observed in ms, exported in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from visavis.server.capacity import PARTS, Capacity
from visavis.server.media.stats import SessionReport

if TYPE_CHECKING:
    # The front has metrics and no media.
    from visavis.server.media.viewers import ViewerPlaces
    from visavis.server.recording.tally import Tally

__all__ = ["Metrics"]

ENCODE_MS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 40)
# Around 0: a frame that has to wait until it is due is early.
READY_LATE_MS = (-40, -20, -15, -10, -5, -2, 0, 2, 5, 10, 20, 40, 80)
ANSWER_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
LOOP_DELAY_MS = (1, 2, 5, 10, 20, 50, 100, 300, 1000)


def _seconds(milliseconds: Iterable[float]) -> tuple[float, ...]:
    return tuple(ms / 1000 for ms in milliseconds)


class Metrics:
    """Also the :class:`~visavis.server.media.stats.MediaObserver` of all sessions."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions_opened = Counter(
            "visavis_sessions_opened", "Sessions that were answered.", registry=self.registry
        )
        self.sessions_refused = Counter(
            "visavis_sessions_refused",
            "Requests for a session that were refused, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self.sessions_suspended = Counter(
            "visavis_sessions_suspended",
            "Sessions whose peer fell silent and whose place was freed.",
            registry=self.registry,
        )
        self.ready = Gauge(
            "visavis_ready", "1 when sessions can be opened.", registry=self.registry
        )
        self._answer = Histogram(
            "visavis_answer_seconds",
            "From an offer to its answer.",
            buckets=_seconds(ANSWER_MS),
            registry=self.registry,
        )
        self._encode = Histogram(
            "visavis_frame_encode_cpu_seconds",
            "Processor time of one frame's compression.",
            buckets=_seconds(ENCODE_MS),
            registry=self.registry,
        )
        self._late = Histogram(
            "visavis_frame_ready_late_seconds",
            "How long after it was due a frame was ready; negative when it had to wait.",
            buckets=_seconds(READY_LATE_MS),
            registry=self.registry,
        )
        self._loop_delay = Histogram(
            "visavis_event_loop_delay_seconds",
            "How late the event loop wakes up.",
            buckets=_seconds(LOOP_DELAY_MS),
            registry=self.registry,
        )

    def divided(self, capacity: Capacity) -> None:
        """How the machine was divided among its parts."""
        alone = Gauge(
            "visavis_capacity_alone_sessions",
            "What each part would carry if it had the machine to itself.",
            ["part"],
            registry=self.registry,
        )
        for part in PARTS:
            alone.labels(part).set(getattr(capacity, part))
        limit = Gauge(
            "visavis_capacity_limit",
            "1 for what there is too little of; asked, where --max-sessions says how many.",
            ["part"],
            registry=self.registry,
        )
        for part in (*PARTS, "asked"):
            limit.labels(part).set(part == capacity.limit)

    def watch(
        self,
        reports: Callable[[], Iterable[SessionReport]],
        ended: Callable[[], dict[str, float]],
        capacity: Callable[[], int],
    ) -> None:
        """Collect what live sessions say, and what ended ones left, whenever metrics are asked."""
        self.registry.register(_SessionCollector(reports, ended, capacity))

    def watch_viewers(self, places: ViewerPlaces) -> None:
        """Collect how many watch over WHEP."""
        self.registry.register(_ViewerCollector(places))

    def watch_recordings(self, tally: Tally) -> None:
        """Collect what is recorded."""
        self.registry.register(_RecordingCollector(tally))

    def frame_encoded(self, cpu_ms: float) -> None:
        """A frame was compressed."""
        self._encode.observe(cpu_ms / 1000)

    def frame_ready(self, late_ms: float) -> None:
        """A frame could leave, so long after its voice."""
        self._late.observe(late_ms / 1000)

    def answered(self, ms: float) -> None:
        """An offer was answered."""
        self.sessions_opened.inc()
        self._answer.observe(ms / 1000)

    def loop_delayed(self, ms: float) -> None:
        """The event loop woke up so late."""
        self._loop_delay.observe(ms / 1000)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _SessionCollector:
    def __init__(
        self,
        reports: Callable[[], Iterable[SessionReport]],
        ended: Callable[[], dict[str, float]],
        capacity: Callable[[], int],
    ) -> None:
        self._reports = reports
        self._ended = ended
        self._capacity = capacity

    def collect(self) -> Iterable[Metric]:
        reports = list(self._reports())
        yield GaugeMetricFamily(
            "visavis_capacity_sessions", "How many sessions fit.", value=self._capacity()
        )
        states = GaugeMetricFamily("visavis_sessions", "Sessions now.", labels=["state"])
        for state in ("connecting", "live", "suspended"):
            states.add_metric([state], sum(r.state == state for r in reports))
        yield states
        ended = self._ended()
        for name, help_text in COUNTERS.items():
            total = ended.get(name, 0.0) + sum(getattr(r, name) for r in reports)
            scale = 1000 if name.endswith("_ms") else 1
            exported = name.removesuffix("_ms") + ("_seconds" if scale == 1000 else "")
            yield CounterMetricFamily(f"visavis_{exported}", help_text, value=total / scale)


class _ViewerCollector:
    def __init__(self, places: ViewerPlaces) -> None:
        self._places = places

    def collect(self) -> Iterable[Metric]:
        places = self._places
        yield GaugeMetricFamily("visavis_viewers", "Viewers now (WHEP).", value=places.taken)
        for name, help_text, value in (
            ("opened", "Viewers that were answered.", places.opened),
            ("refused", "Viewers for whom there was no place.", places.refused),
            ("frames_shed", "Frames that a viewer did not get.", places.shed_frames),
            ("key_frames_denied", "Key frames asked for too often.", places.key_frames_denied),
        ):
            yield CounterMetricFamily(f"visavis_viewers_{name}", help_text, value=value)


class _RecordingCollector:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        tally = self._tally
        yield GaugeMetricFamily("visavis_recordings", "Recordings now.", value=tally.running)
        for name, help_text, value in (
            ("bytes", "Bytes of recordings that were written.", tally.bytes),
            ("frames_dropped", "Frames that a recording left out.", tally.dropped_frames),
            ("failures", "Recordings that could not go on.", tally.failures),
        ):
            yield CounterMetricFamily(f"visavis_recordings_{name}", help_text, value=value)


COUNTERS = {
    "frames_sent": "Frames that left.",
    "frames_skipped": "Ticks without a picture.",
    "frames_shed": "Frames that were encoded and not sent: the network takes no more.",
    "voice_shed_ms": "Voice that was not sent: the network takes no more.",
    "concealed_ms": "Microphone sound that was made up because it did not come.",
    "skipped_audio_ms": "Microphone sound that was left out because too much was waiting.",
    "packets_lost": "Microphone packets that never came.",
}
"""Fields of a report that only grow, which are kept when a session ends."""
