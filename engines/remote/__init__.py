"""The engine in a process of its own: its host, and the client that media workers hold.

`docs/processes.md` says how they share work and memory. `server` and workers need `client` alone;
`serving` is what the engine's process runs.
"""

from __future__ import annotations

__all__: list[str] = []
