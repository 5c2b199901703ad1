"""Microphone in, voice and face out, over WebRTC: the one place that imports aiortc."""

from __future__ import annotations

__all__: list[str] = []
