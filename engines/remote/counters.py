"""A session's counters from the engine to a worker, in the header of the output: a seqlock.

They are there without a question being asked, so whoever wants them never waits for the engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.remote.layout import OUTPUT
from visavis.engines.remote.memory import fence

__all__ = ["Counters", "CounterReader", "CounterWriter"]

_COUNTS = ("skipped", "discarded", "dropped_samples")
_TIMES = ("engine_ms_p50", "engine_ms_p95")
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Counters:
    """What the engine says of a session; see `client.SessionStats`."""

    skipped: int = 0
    discarded: int = 0
    dropped_samples: int = 0
    engine_ms_p50: float = 0.0
    engine_ms_p95: float = 0.0


class CounterWriter:
    """The engine's end; for one thread at a time.

    Args:
        memory: the output, uint8[n].
    """

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        header = memory[: OUTPUT.itemsize].view(OUTPUT)
        self._sequence = header["stats_sequence"]
        self._fields = {name: header[name] for name in _COUNTS + _TIMES}
        self._number = 0

    def write(self, counters: Counters) -> None:
        """Publish new values."""
        self._sequence[0] = self._number + 1
        fence()
        for name, field in self._fields.items():
            field[0] = getattr(counters, name)
        fence()
        self._number += 2
        self._sequence[0] = self._number


class CounterReader:
    """The worker's end.

    Args:
        memory: the output, uint8[n].
    """

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        header = memory[: OUTPUT.itemsize].view(OUTPUT)
        self._sequence = header["stats_sequence"]
        self._fields = {name: header[name] for name in _COUNTS + _TIMES}
        self._last = Counters()

    def read(self) -> Counters:
        """Return the newest values, or those of last time while they are being written."""
        for _ in range(_TRIES):
            before = int(self._sequence[0])
            fence()
            values = {name: field[0].item() for name, field in self._fields.items()}
            fence()
            if before % 2 == 0 and before == int(self._sequence[0]):
                if all(math.isfinite(values[name]) for name in _TIMES):
                    self._last = Counters(**values)
                break
        return self._last
