"""What a visitor chooses travels to the engine, in order, and is told again to the next engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engines.fakes import Collector
from tests.engines.remote.pairs import house, until
from tests.engines.remote.tick_engine import TickEngine, TickSession, person
from visavis.engines.client import ControlNames
from visavis.engines.errors import ControlError, EngineAway, EngineError


def only(engine: TickEngine) -> TickSession:
    (session,) = engine.sessions
    return session


def test_a_choice_reaches_the_engine_and_comes_back() -> None:
    engine = TickEngine()
    with house(engine) as built:
        client = built.client()
        assert client.persons()[0].controls == ControlNames(
            ("calm",), "calm", ("own", "still"), ("wave",)
        )
        session = client.open("ada", Collector().on_frame)
        assert session.pace == 12.5
        code = [0.125] * 135
        made = session.control({"style": code, "head": "still"})
        assert made == {"style": code, "head": "still", "performance": None, "matte": False}
        assert session.control({}) == made == only(engine).choice


def test_choices_are_taken_in_order() -> None:
    engine = TickEngine()
    with house(engine) as built:
        session = built.client().open("ada", Collector().on_frame)
        for count in range(200):
            session.control({"head": ("still", "own")[count % 2], "performance": str(count)})
        chosen = only(engine).choice
        assert (chosen["head"], chosen["performance"]) == ("own", "199")


def test_a_refusal_is_the_engines_sentence_and_changes_nothing() -> None:
    engine = TickEngine()
    with house(engine) as built:
        session = built.client().open("ada", Collector().on_frame)
        session.control({"head": "still"})
        with pytest.raises(ControlError, match="There is no head 'upside down'"):
            session.control({"head": "upside down"})
        with pytest.raises(EngineError, match="does not fit into a packet"):
            session.control({"style": ["x" * 40_000]})
        assert session.control({})["head"] == "still" and session.changes == {"head": "still"}
        session.close()
        with pytest.raises(EngineError, match="has ended"):
            session.control({"head": "own"})


def test_the_next_engine_is_told_what_was_chosen() -> None:
    """The toy: a session that comes back as by default."""
    with house(TickEngine()) as built:
        session = built.client().open("ada", Collector().on_frame)
        session.control({"head": "still"})
        session.control({"performance": "wave"})
        built.end_engine()
        until(lambda: session.place is None)
        with pytest.raises(EngineAway):
            session.control({"head": "own"})
        later = TickEngine()
        built.begin_engine(later)
        until(lambda: session.place is not None)
        chosen = only(later).choice
        assert (chosen["head"], chosen["performance"]) == ("still", "wave")


def test_what_the_next_engine_does_not_offer_ends_nothing() -> None:
    with house(TickEngine()) as built:
        session = built.client().open("ada", Collector().on_frame)
        session.control({"head": "still"})
        built.end_engine()
        until(lambda: session.place is None)
        ada = replace(person("ada"), controls=ControlNames(heads=("own",)))
        later = TickEngine((ada,))
        built.begin_engine(later)
        until(lambda: session.place is not None)
        assert only(later).choice["head"] == "own" and not session.closed
