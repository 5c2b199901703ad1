"""Many processes behind one port: the front, its media workers, and one engine process."""

from __future__ import annotations

__all__: list[str] = []
