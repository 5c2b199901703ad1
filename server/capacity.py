"""How many sessions a machine carries: the least of what its engine, encoders and packets carry.

Pure: what was measured is given. The three numbers are sessions that each part would carry if it
had the machine to itself:

* **engine**: what the engine says of itself (`EngineClient.capacity`);
* **encode**: ``LOAD * cores / (fps * encode_seconds)``, or what the card encodes;
* **packets**: ``LOAD * min(loops, cores) / packet_seconds``. Python runs one thread at a time, so
  the packets of a process never get more than one core.

Where parts share cores they must also fit *together*. A session costs, each second, so many core
seconds::

    fps * threads / frames_per_s    engine, where it runs on the processor
    fps * encode_seconds            encoding, where the card does not do it
    packet_seconds                  RTP, SRTP, Opus, the receive path

and ``LOAD`` of the cores, divided by the sum, is how many fit: of parts that would carry N1, N2 and
N3 alone, ``1 / (1 / N1 + 1 / N2 + 1 / N3)``. An engine on a card leaves the cores to the others,
but for one that each of its threads keeps busy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from visavis.engines.client import EngineLoad

__all__ = ["LOAD", "PARTS", "Capacity", "Measured", "capacity_of"]

LOAD = 0.75
"""Of all cores, what sessions may use on average. The rest is for moments when their frames fall
together, for key frames, and for everything else on the machine."""
PARTS = ("engine", "encode", "packets")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at start, with nothing else running.

    Attributes:
        engine_sessions: sessions that the engine alone carries.
        load: frames per second of the engine, and whose cores it needs.
        encode_seconds: of one core, for one frame; little where a card encodes.
        packet_seconds: of one core, for one session and one second.
        cores: that all processes together may use.
        loops: processes that sessions are spread over; each runs one event loop.
        card_frames_per_s: what a card encodes, or None where the processor encodes.
        fps: frames per second of a session.
    """

    engine_sessions: int
    load: EngineLoad
    encode_seconds: float
    packet_seconds: float
    cores: float
    loops: int = 1
    card_frames_per_s: float | None = None
    fps: int = 25


@dataclass(frozen=True, slots=True)
class Capacity:
    """Sessions that fit.

    Attributes:
        engine, encode, packets: what each part would carry if it had the machine to itself.
        together: what fits where they share cores.
        asked: what was asked for (``--max-sessions``), which counts instead; or None.
    """

    engine: int
    encode: int
    packets: int
    together: int
    asked: int | None = None

    @property
    def sessions(self) -> int:
        """How many are let in; one always is."""
        if self.asked is not None:
            return self.asked
        return max(1, min(self.engine, self.encode, self.packets, self.together))

    @property
    def limit(self) -> str:
        """Which part is the scarcest: ``engine``, ``encode`` or ``packets``; or ``asked``."""
        if self.asked is not None:
            return "asked"
        return min(PARTS, key=lambda part: int(getattr(self, part)))

    def __str__(self) -> str:
        text = (
            f"room for {self.sessions} sessions: alone, the engine would carry {self.engine}, "
            f"encoding {self.encode}, packets {self.packets}; together {self.together} fit"
        )
        if self.asked is not None:
            return f"{text}; {self.asked} were asked for"
        return f"{text}; the limit is {self.limit}"


def capacity_of(measured: Measured, *, asked: int | None = None) -> Capacity:
    """Divide the machine.

    Args:
        measured: the costs.
        asked: a limit that somebody set; it counts, whatever was measured.
    """
    load = measured.load
    cores = measured.cores
    encode_cost = measured.fps * measured.encode_seconds
    shared = encode_cost + measured.packet_seconds
    if load.shares_cores:
        # More threads than cores do not make more; each was measured with all of them running.
        shared += measured.fps * min(load.threads, cores) / load.frames_per_s
    else:
        cores = max(min(1.0, cores), cores - load.threads)
    loops = min(float(measured.loops), cores)
    card = measured.card_frames_per_s
    return Capacity(
        engine=measured.engine_sessions,
        encode=_fits(cores, encode_cost) if card is None else _fits(card, measured.fps),
        packets=_fits(loops, measured.packet_seconds),
        together=_fits(cores, shared),
        asked=asked,
    )


def _fits(cores: float, cost: float) -> int:
    return math.floor(LOAD * cores / cost + 1e-9)
