"""Latency and cost, measured: reached through visavis bench."""

from __future__ import annotations

__all__: list[str] = []
