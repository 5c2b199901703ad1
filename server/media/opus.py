"""Opus, mono, 48 kHz: inline decoding and encoding of single packets (RFC 6716, RFC 7587)."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

__all__ = ["ENCODER_DELAY_SAMPLES", "OpusDecoder", "OpusEncoder"]

RATE = 48_000
ENCODER_DELAY_SAMPLES = 120
"""What the encoder's look-ahead adds in its low-delay mode: 2.5 ms, less than can be seen."""
BITRATE = 40_000
_TIME_BASE = Fraction(1, RATE)


class OpusDecoder:
    """One stream's decoder, about 0.04 ms a packet."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        assert isinstance(context, AudioCodecContext)
        context.format = "s16"
        context.layout = "mono"
        context.sample_rate = RATE
        context.thread_count = 1
        self._context = context

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """``f32[n]`` mono 48 kHz in -1..1; empty when the payload is damaged or empty."""
        if not payload:
            return np.zeros(0, np.float32)
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError:
            return np.zeros(0, np.float32)
        parts = [np.frombuffer(memoryview(f.planes[0]), np.int16, f.samples) for f in frames]
        pcm = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int16), *parts])
        return pcm.astype(np.float32) * np.float32(1 / 32768)


class OpusEncoder:
    """One stream's encoder: full band, constrained variable bit rate, about 0.09 ms a packet."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)
        context.bit_rate = BITRATE
        context.format = "s16"
        context.layout = "mono"
        context.sample_rate = RATE
        context.time_base = _TIME_BASE
        context.thread_count = 1  # libavcodec would keep a thread for each core, and not use them
        context.options = {
            "application": "lowdelay",
            "frame_duration": "20",
            "compression_level": "5",
            "vbr": "constrained",
        }
        self._context = context
        self._pts = 0

    def encode(self, pcm: NDArray[np.float32]) -> bytes:
        """One packet of 20 ms from ``f32[960]``."""
        samples = (np.clip(pcm, -1.0, 1.0) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.time_base = _TIME_BASE
        frame.pts = self._pts
        self._pts += len(pcm)
        return b"".join(bytes(packet) for packet in self._context.encode(frame))
