"""What runs in the browser: served as it lies here, without a build step."""

from __future__ import annotations

__all__: list[str] = []
