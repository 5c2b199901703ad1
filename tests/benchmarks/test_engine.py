"""`visavis bench engine`: what it reports, and that serving's own packages are enough for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks import engine
from visavis.engines.pipeline import Pipeline
from visavis.engines.stages import STAGE_ORDER


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return engine.run(tiny_person(), seconds=0.3, sessions=(1, 3))


def test_every_stage_and_batch_is_measured(result: dict[str, Any]) -> None:
    assert [batch["sessions"] for batch in result["batches"]] == [1, 3]
    for batch in result["batches"]:
        assert tuple(batch["stage_ms"]) == STAGE_ORDER
        assert batch["batch_ms"]["median"] <= batch["batch_ms"]["p95"]
        stages = sum(stage["median"] for stage in batch["stage_ms"].values())
        assert 0 < stages < 1.5 * batch["batch_ms"]["p95"]
        assert batch["frames_per_s"] == pytest.approx(
            batch["sessions"] * batch["ticks"] / 0.3, rel=0.5
        )


def test_it_is_json_and_a_table(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    text = engine.table(result)
    assert all(stage in text for stage in STAGE_ORDER)
    assert "1 session(s)" in text and "3 session(s)" in text


def test_a_slow_stage_is_seen_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting costs wall time and no processor time; it belongs to the stage that waits."""
    draw = Pipeline._move

    def slow(self: Pipeline, items: Any) -> None:
        time.sleep(0.02)
        draw(self, items)

    monkeypatch.setattr(Pipeline, "_move", slow)
    (batch,) = engine.run(tiny_person(), seconds=0.3, sessions=(1,))["batches"]
    assert batch["stage_ms"]["motion"]["median"] >= 20
    assert batch["stage_ms"]["render"]["median"] < 20
    assert batch["frames_per_s"] < 50 < batch["frames_per_core_s"]


def test_no_package_of_the_extras_is_needed() -> None:
    blocked = ["torch", "onnx", "playwright", "psutil", "scipy", "hypothesis", "pytest", "httpx"]
    code = (
        "import sys\n"
        f"for name in {blocked}: sys.modules[name] = None\n"
        "import visavis.benchmarks.engine, visavis.engines.local, visavis.engines.offline\n"
        "import visavis.engines.doctor, visavis.engines.info, visavis.engines.vet\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
