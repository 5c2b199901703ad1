"""The listing benchmark: that it lists, and refuses a listing that is quick because it is short."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks import persons
from visavis.engines.errors import ConfigError


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the detour through a limited process."""
    monkeypatch.setattr(persons, "load", lambda name: tiny_person(name))


def test_four_listings_are_timed() -> None:
    result = persons.run(person="tiny", count=12, repeats=2)
    json.dumps(result, allow_nan=False)
    assert result["files"] == 12 and result["bytes"] > 12 * 1024
    assert all(result[name] > 0 for name in ("new_ms", "known_ms", "again_ms", "changed_ms"))
    assert "12 person files" in persons.table(result)


def test_a_listing_that_leaves_somebody_out_is_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete = persons.FileCatalogue.persons

    def short(self: Any) -> Any:
        return complete(self)[1:]

    monkeypatch.setattr(persons.FileCatalogue, "persons", short)
    with pytest.raises(ConfigError, match="Of 3 person files 2 were listed"):
        persons.run(person="tiny", count=3, repeats=1)
