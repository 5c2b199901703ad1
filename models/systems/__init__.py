"""Networks and formulas of five published talking-head systems, written from their descriptions."""

from __future__ import annotations

__all__: list[str] = []
