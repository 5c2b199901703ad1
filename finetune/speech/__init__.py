"""Synthetic speech with known phone times, and what a mouth does while it is said."""

from __future__ import annotations

__all__: list[str] = []
