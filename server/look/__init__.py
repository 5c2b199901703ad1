"""How a session's person is shown: what stands behind them, and how near they are."""

from __future__ import annotations

__all__: list[str] = []
