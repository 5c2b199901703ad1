"""The page, the <visavis-avatar> element and the JavaScript client, as files the server serves."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FILES"]

#: The folder that holds ``index.html`` and what it loads.
FILES = Path(__file__).resolve().parent
