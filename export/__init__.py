"""From a trained person to a person file."""

from __future__ import annotations

__all__: list[str] = []
