"""From the checkpoints of a published system to a person file."""

from __future__ import annotations

__all__: list[str] = []
