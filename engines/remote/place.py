"""A session's place in one engine's process, as the worker sees it: its ends of the memory."""

from __future__ import annotations

from visavis.engines.client import PHASES, PersonInfo
from visavis.engines.errors import EngineError
from visavis.engines.remote.counters import CounterReader
from visavis.engines.remote.layout import INPUT_SIZE, OutputLayout
from visavis.engines.remote.link import Answer, Link
from visavis.engines.remote.memory import map_readable, map_writable
from visavis.engines.remote.requests import flag, positive, whole
from visavis.engines.remote.ring import RingWriter
from visavis.engines.remote.slots import SlotReader

__all__ = ["Place"]


class Place:
    """The memory of a session that an engine has opened.

    Args:
        link: to the engine.
        answer: to `open`; its descriptors stay its own.
        person: who is to be shown.

    Attributes:
        phase: group of the session in this engine.
        pace: see `client.EngineSession.pace`.
        bell: to ring when there are samples.
        ring, slots, counters: the worker's ends.
        first_tick: the session's number of this place's frame 0.
        first_generation: the session's generation when this place was taken.

    Raises:
        EngineError: the answer makes no sense.
    """

    def __init__(self, link: Link, answer: Answer, person: PersonInfo) -> None:
        self.link = link
        self.phase = whole(answer.body, "phase")
        if self.phase >= PHASES or len(answer.fds) != 2:
            raise EngineError("The engine's answer has no place in it.")
        self.pace = positive(answer.body, "pace")
        layout = OutputLayout(
            whole(answer.body, "width"), whole(answer.body, "height"), flag(answer.body, "matte")
        )
        if (layout.width, layout.height) != (person.width, person.height):
            raise EngineError(f"The frame of {person.name!r} has another size by now.")
        output = map_readable(answer.fds[1], layout.size)
        self.bell = link.to_engine[self.phase]
        self.ring = RingWriter(map_writable(answer.fds[0], INPUT_SIZE))
        self.slots = SlotReader(output, layout)
        self.counters = CounterReader(output)
        self.first_tick = 0
        self.first_generation = 0
