"""What talks to the network: HTTP, sessions, limits, metrics."""

from __future__ import annotations

__all__: list[str] = []
