"""From a short video to a trained person."""

from __future__ import annotations

__all__: list[str] = []
