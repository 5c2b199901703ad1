"""How much to send: a bit rate that the path carries, and a picture size that suits it. Pure."""

from __future__ import annotations

__all__: list[str] = []
