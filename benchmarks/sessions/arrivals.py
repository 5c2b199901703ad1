"""What came of a session's two streams, packet by packet, and the figures of it. Pure.

RTP (RFC 3550): the packets of a frame share a timestamp and the last of them has the marker.
Nothing is decoded here, so this is as cheap for one session as for two hundred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACE_HZ", "FRAME_S", "VOICE_HZ", "Packets", "Reports", "complete_frames", "figures"]

FACE_HZ = 90_000
VOICE_HZ = 48_000
FRAME_S = 0.040
VOICE_STEP_S = 0.020
QUICKEST = 5  # percentile of arrivals that says where a stream's own pace lies

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Packets:
    """The packets of one stream, in the order in which they came."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.sequence: list[int] = []
        self.timestamp: list[int] = []
        self.marker: list[bool] = []
        self.size = 0

    def add(self, at: float, sequence: int, timestamp: int, marker: bool, size: int) -> None:
        """Note one packet.

        Args:
            at: when it came, seconds.
            sequence, timestamp: as in its header, modulo 2**16 and 2**32.
            marker: its marker bit.
            size: bytes of it.
        """
        self.at.append(at)
        self.sequence.append(sequence)
        self.timestamp.append(timestamp)
        self.marker.append(marker)
        self.size += size

    def __len__(self) -> int:
        return len(self.at)


class Reports:
    """The sender reports of one stream: which wall clock a timestamp stands for."""

    def __init__(self) -> None:
        self.last: tuple[int, int] | None = None

    def add(self, ntp: int, timestamp: int) -> None:
        """Take a report: 64-bit NTP time, RTP timestamp."""
        self.last = ntp, timestamp

    def seconds(self, timestamps: I64, rate: int) -> F64 | None:
        """The sender's wall clock at these timestamps, seconds; None before the first report."""
        if self.last is None:
            return None
        ntp, base = self.last
        away = (timestamps - base + (1 << 31)) % (1 << 32) - (1 << 31)
        seconds: F64 = ntp / (1 << 32) + away / rate
        return seconds


def complete_frames(packets: Packets) -> tuple[I64, F64]:
    """Find the frames of which every packet came.

    A frame is complete when its numbers run without a gap from after the last packet of the frame
    before it to its own marker. Where that packet is missing, nobody knows where the frame begins,
    and it does not count either.

    Returns:
        timestamps i64[n], unwrapped, and when the last missing packet of each came, f64[n].
    """
    if not packets.at:
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    at = np.array(packets.at)
    sequence = unwrapped(packets.sequence, 16)
    timestamp = unwrapped(packets.timestamp, 32)
    marker = np.array(packets.marker)
    # A packet that came twice counts once, when it came first.
    sequence, first = np.unique(sequence, return_index=True)
    at, timestamp, marker = at[first], timestamp[first], marker[first]
    ends = np.flatnonzero(marker)
    starts = np.concatenate(([0], ends[:-1] + 1))
    known = np.ones(ends.size, np.bool_)
    known[1:] = sequence[starts[1:]] == sequence[ends[:-1]] + 1
    whole = known & (sequence[ends] - sequence[starts] == ends - starts)
    whole &= timestamp[starts] == timestamp[ends]
    when = np.array([at[a : b + 1].max() for a, b in zip(starts, ends, strict=True)], np.float64)
    return timestamp[ends][whole], when[whole]


def unwrapped(values: list[int], bits: int) -> I64:
    """Counters modulo 2**bits as numbers that go on growing."""
    modulo, half = 1 << bits, 1 << (bits - 1)
    out = np.array(values, np.int64)
    steps = (np.diff(out) + half) % modulo - half
    out[1:] = out[0] + np.cumsum(steps)
    return out


def figures(
    face: Packets,
    voice: Packets,
    face_reports: Reports,
    voice_reports: Reports,
    begin: float,
    end: float,
) -> dict[str, Any]:
    """What a session got in a stretch of time.

    Returns:
        "fps": complete frames a second; "skipped": share of the pictures' own timeline without a
        complete frame; "late_ms": how much later than the stream's own pace frames were complete,
        "p50", "p95" and "max" ("own pace": what the quickest twentieth of them kept);
        "longest_wait_ms" between two frames; "voice_per_s": packets; "voice_late_p95_ms";
        "picture_after_voice_ms": from a voice packet's coming to that of its picture, "p50" and
        "p95", or None where the reports do not tell; "bits_per_s" of both streams.
    """
    timestamps, when = complete_frames(face)
    inside = (when >= begin) & (when < end)
    timestamps, when = timestamps[inside], when[inside]
    seconds = end - begin
    out: dict[str, Any] = {
        "fps": when.size / seconds,
        "skipped": 1.0,
        "late_ms": None,
        "longest_wait_ms": seconds * 1000,
        "picture_after_voice_ms": None,
        "bits_per_s": 0.0,
    }
    if when.size:
        expected = round((timestamps[-1] - timestamps[0]) / FACE_HZ / FRAME_S) + 1
        # A stream that stops early has missed what would have come until the end.
        expected += max(0, int((end - when[-1]) / FRAME_S) - 1)
        expected += max(0, int((when[0] - begin) / FRAME_S) - 1)
        out["skipped"] = 1 - when.size / expected
        late = lateness(when, timestamps / FACE_HZ)
        p50, p95 = np.percentile(late, (50, 95)) * 1000
        out["late_ms"] = {"p50": float(p50), "p95": float(p95), "max": float(late.max() * 1000)}
        waits = np.diff(np.concatenate(([begin], when, [end])))
        out["longest_wait_ms"] = float(waits.max() * 1000)
    heard_at = np.array(voice.at)
    inside = (heard_at >= begin) & (heard_at < end)
    heard_at = heard_at[inside]
    heard = unwrapped(voice.timestamp, 32)[inside] if len(voice) else np.zeros(0, np.int64)
    out["voice_per_s"] = heard_at.size / seconds
    out["voice_late_p95_ms"] = (
        float(np.percentile(lateness(heard_at, heard / VOICE_HZ), 95) * 1000)
        if heard_at.size
        else None
    )
    shown = face_reports.seconds(timestamps, FACE_HZ)
    said = voice_reports.seconds(heard, VOICE_HZ)
    if shown is not None and said is not None and when.size and heard_at.size:
        order = np.argsort(said)
        its_voice = np.interp(shown, said[order], heard_at[order], np.nan, np.nan)
        apart = when - its_voice
        apart = apart[np.isfinite(apart)]
        if apart.size:
            p50, p95 = np.percentile(apart, (50, 95)) * 1000
            out["picture_after_voice_ms"] = {"p50": float(p50), "p95": float(p95)}
    both = len(face) + len(voice)
    if both:
        every = np.array(face.at + voice.at)
        span = max(float(every.max() - every.min()), 1e-9)
        out["bits_per_s"] = 8 * (face.size + voice.size) / span
    return out


def lateness(at: F64, due: F64) -> F64:
    """How much later each came than the stream's own pace, seconds.

    Args:
        at: when each came.
        due: when each was due, in a clock of its own.
    """
    away = at - due
    late: F64 = away - np.percentile(away, QUICKEST)
    return late
