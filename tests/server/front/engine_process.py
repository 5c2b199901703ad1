"""An engine process for tests: a cheap engine behind the real serving, and faults on demand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.server.fake_engine import FakeEngine
from visavis.engines.client import EngineClient, EngineSession, Frame
from visavis.engines.errors import EngineError
from visavis.server.front.engine import run_engine


class FaultyEngine(FakeEngine):
    """Has no memory for a further session while a file is there.

    Args:
        places: how many sessions fit.
        no_memory: the file.
        size: width and height of the picture.
        matte: whether the person has one.
    """

    def __init__(self, places: int, no_memory: Path, size: int, *, matte: bool) -> None:
        super().__init__(places=places, render_seconds=0.001, size=size, matte=matte)
        self._no_memory = no_memory

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> EngineSession:
        if self._no_memory.exists():
            raise MemoryError
        return super().open(
            person, on_frame, lookahead_ms=lookahead_ms, seed=seed, on_error=on_error
        )


def make(settings: dict[str, Any]) -> EngineClient:
    no_memory = Path(settings["no_memory"])
    return FaultyEngine(settings["places"], no_memory, settings["size"], matte=settings["matte"])


if __name__ == "__main__":
    sys.exit(run_engine(make))
