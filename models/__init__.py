"""The torch networks that fine-tuning and export share."""

from __future__ import annotations

__all__: list[str] = []
