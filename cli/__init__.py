"""The visavis command: one small file per subcommand, no logic."""

from __future__ import annotations

__all__: list[str] = []
