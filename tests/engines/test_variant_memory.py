"""A second person of a kind is not timed again, and what runs agrees for them as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.engines.tiny_person import tiny_person
from visavis.engines import variant_memory as module
from visavis.engines.backend import Feeds, Graph, VariantReport
from visavis.engines.pipeline import Pipeline
from visavis.engines.variant_memory import VariantMemory, graph_kind, person_kind

PROBES = [{"x": np.zeros((1, 4), np.float32)}]


class Flat:
    """A graph that draws one level."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.runs = 0

    def run(self, feeds: Feeds) -> dict[str, np.ndarray[Any, Any]]:
        self.runs += 1
        return {"y": np.full((1, 4, 4), self.level, np.uint8)}


class Person:
    """The graphs of a person, and which of them were made ready."""

    def __init__(self, **levels: int) -> None:
        self.graphs = {name: Flat(level) for name, level in levels.items()}
        self.loaded: list[str] = []

    def load(self, variant: str) -> Flat:
        self.loaded.append(variant)
        return self.graphs[variant]

    def choose(self, memory: VariantMemory, kind: str = "one") -> tuple[Graph, tuple[Any, ...]]:
        return memory.choose("renderer", kind, tuple(self.graphs), self.load, PROBES)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is measured; int8 wins wherever it agrees."""
    seen: list[str] = []

    def choose(
        name: str, candidates: dict[str, Flat], probes: Sequence[Feeds]
    ) -> tuple[Flat, tuple[VariantReport, ...]]:
        seen.append("+".join(candidates))
        best = "int8" if candidates["int8"].level == candidates["fp32"].level else "fp32"
        reports = tuple(VariantReport(key, 1.0, "", True, key == best) for key in candidates)
        return candidates[best], reports

    monkeypatch.setattr(module, "choose_variant", choose)
    return seen


def test_the_next_of_a_kind_is_compared_and_not_timed(timed: list[str]) -> None:
    memory, first, second = (
        VariantMemory(),
        Person(fp32=9, fp16=9, int8=9),
        Person(fp32=50, fp16=50, int8=50),
    )
    graph, reports = first.choose(memory)
    assert graph is first.graphs["int8"] and len(reports) == 3
    graph, reports = second.choose(memory)
    assert graph is second.graphs["int8"] and reports == ()
    assert second.loaded == ["fp32", "int8"], "fp16 was slower and is not even loaded"
    assert timed == ["fp32+fp16+int8"]
    Person(fp32=1, int8=1).choose(memory, kind="two")
    assert timed[1:] == ["fp32+int8"]


def test_weights_that_do_not_agree_are_measured_anew(timed: list[str]) -> None:
    memory = VariantMemory()
    Person(fp32=9, int8=9).choose(memory)
    odd = Person(fp32=9, int8=99)
    graph, reports = odd.choose(memory)
    assert graph is odd.graphs["fp32"] and len(reports) == 2
    # And say nothing about the others.
    usual = Person(fp32=9, int8=9)
    assert usual.choose(memory)[0] is usual.graphs["int8"] and len(timed) == 2


def test_where_fp32_was_fastest_nothing_else_is_loaded(timed: list[str]) -> None:
    memory = VariantMemory()
    Person(fp32=9, int8=99).choose(memory)
    later = Person(fp32=9, int8=9)
    assert later.choose(memory)[0] is later.graphs["fp32"]
    assert later.loaded == ["fp32"] and later.graphs["fp32"].runs == 0


def test_only_so_many_kinds_are_remembered(
    timed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KINDS", 2)
    memory = VariantMemory()
    for kind in ("a", "b", "c", "c", "b", "a"):
        Person(fp32=9, int8=9).choose(memory, kind)
    assert len(timed) == 4


def test_persons_of_one_architecture_are_of_one_kind() -> None:
    one, two = tiny_person(), tiny_person("other", blend=(0.7, 0.3))
    assert person_kind(one) == person_kind(two)
    wide = replace(one, width=one.width * 2)
    assert person_kind(wide) != person_kind(one)
    parts = {name: part + b"x" * name.endswith(".onnx") for name, part in one.parts.items()}
    other = replace(one, parts=parts)
    assert person_kind(other) != person_kind(one)
    spec = one.graphs["renderer"]
    assert graph_kind(one, spec) != graph_kind(one, one.graphs["motion"])
    assert Pipeline(one, variant="fp32").kind == person_kind(two)


def test_pipelines_of_different_persons_share_no_batch() -> None:
    person = tiny_person()
    one, two = Pipeline(person, variant="fp32"), Pipeline(person, variant="fp32")
    assert one.batch_key != two.batch_key and one.twin().batch_key == one.batch_key
