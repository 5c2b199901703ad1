"""What the soak benchmark holds against a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from visavis.benchmarks import soak
from visavis.benchmarks.soak import report
from visavis.benchmarks.soak.regression import Slope
from visavis.engines.errors import ConfigError


def line(low: float, high: float) -> dict[str, float] | None:
    return report.rounded(Slope((low + high) / 2, low, high, 100, 80))


def result(**changes: Any) -> dict[str, Any]:
    held = {"memory_mib": 180.0, "handles": 14, "threads": 9}
    whole: dict[str, Any] = {
        "machine": {"cpu": "a processor", "cores": 2, "load_before": 0.0, "load_after": 1.0},
        "leg": "echo",
        "seconds": 60.0,
        "visits": 20,
        "failures": [],
        "before": held,
        "after": held,
        "slopes": {
            "memory": line(-0.1, 0.1),
            "handles": line(0, 0),
            "threads": line(0, 0),
            "delay": line(-0.5, 0.5),
            "offset": line(-0.5, 0.5),
            "server_delay": line(-0.5, 0.5),
        },
    }
    return {**whole, **changes}


def failed(**changes: Any) -> list[str]:
    return [row["what"] for row in report.judge(result(**changes)) if not row["passed"]]


def test_a_run_in_which_nothing_grows_passes() -> None:
    assert failed() == []


@pytest.mark.parametrize(
    ("name", "low", "high", "passes"),
    [
        ("memory", 0.2, 0.6, False),
        ("memory", -9.0, 0.4, True),
        ("delay", 0.5, 1.1, False),
        ("delay", -1.1, 0.0, False),
        ("offset", -2.0, 2.0, False),
        ("offset", -0.9, 0.9, True),
    ],
)
def test_the_whole_interval_must_lie_within(
    name: str, low: float, high: float, passes: bool
) -> None:
    slopes = {**result()["slopes"], name: line(low, high)}
    found = failed(slopes=slopes)
    assert found == [] if passes else len(found) == 1 and found[0].startswith(name)


def test_too_few_samples_have_not_passed() -> None:
    """The toy: a run that is over before anything is known."""
    assert len(failed(slopes={**result()["slopes"], "delay": None})) == 1


def test_what_is_left_behind_is_seen() -> None:
    left = {"memory_mib": 180.0, "handles": 17, "threads": 12}
    assert [what.split()[0] for what in failed(after=left)] == ["handles", "threads"]


def test_a_visit_that_failed_fails_the_run_and_so_do_none() -> None:
    assert len(failed(failures=["no connection"])) == 1
    assert len(failed(visits=0)) == 1


def test_the_table_says_all_of_it() -> None:
    whole = result(failures=["no connection: refused"])
    whole["targets"] = report.judge(whole)
    text = soak.table(whole)
    assert "-0.500 to 0.500" in text
    assert "failed: no connection: refused" in text
    assert sum(line.endswith(("pass", "FAIL")) for line in text.splitlines()) == 6
    json.dumps(whole, allow_nan=False)


def test_no_cycles_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        soak.run(cycles=0)
