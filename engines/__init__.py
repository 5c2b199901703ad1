"""What runs every tick: the person file, the stages, batching, the backends, the client."""

from __future__ import annotations

__all__: list[str] = []
