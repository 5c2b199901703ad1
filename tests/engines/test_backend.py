"""Networks: how ONNX Runtime is set up, and which variant is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import sample_file
from visavis.engines import processor
from visavis.engines.backend import choose_variant, compare_outputs, variants_of
from visavis.engines.errors import PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend

F32 = NDArray[np.float32]
PROBES = [{"x": np.linspace(0, 255, 1000, dtype=np.float32)[None]} for _ in range(3)]


class Clock:
    """Seconds that pass only while a network runs."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class Slow:
    """Gives its input as levels, changed, after a while of `CLOCK`."""

    def __init__(self, milliseconds: float, change: Any = lambda x: x) -> None:
        self._seconds = milliseconds / 1000
        self._change = change

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        CLOCK.now += self._seconds
        return {"y": np.clip(self._change(feeds["x"]), 0, 255).astype(np.uint8)}


def one_bad_corner(x: F32) -> F32:
    changed = x.copy()
    changed[:, :5] = 200
    return changed


@pytest.mark.parametrize(
    ("int8", "chosen"),
    [
        (Slow(1), "int8"),
        (Slow(1, lambda x: x + 1), "int8"),
        (Slow(1, lambda x: x + 4), "fp32"),
        (Slow(1, one_bad_corner), "fp32"),
        (Slow(1, lambda x: np.minimum(x, 127)), "fp32"),  # as saturating arithmetic would
        (Slow(4), "fp32"),
        (Slow(3.7), "fp32"),
        (Slow(8), "fp32"),
    ],
    ids=[
        "faster",
        "one level",
        "four levels",
        "a corner",
        "saturated",
        "as fast",
        "hardly faster",
        "slower",
    ],
)
def test_a_variant_is_taken_when_it_is_faster_and_agrees(int8: Slow, chosen: str) -> None:
    candidates = {"fp32": Slow(4), "int8": int8}
    graph, reports = choose_variant("renderer", candidates, PROBES, clock=CLOCK)
    assert graph is candidates[chosen]
    assert [report.variant for report in reports if report.chosen] == [chosen]
    assert {report.variant for report in reports} == {"fp32", "int8"}


def test_moments_when_the_machine_is_busy_do_not_decide() -> None:
    """Every run but one of the faster variant is disturbed."""

    class Disturbed(Slow):
        runs = 0

        def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
            self.runs += 1
            CLOCK.now += 0.02 * (self.runs != 5)
            return super().run(feeds)

    candidates = {"fp32": Slow(4), "int8": Disturbed(1)}
    assert choose_variant("r", candidates, PROBES, clock=CLOCK)[0] is candidates["int8"]


def test_the_fastest_of_several_is_taken() -> None:
    candidates = {"fp32": Slow(6), "fp16": Slow(3), "int8": Slow(1)}
    assert choose_variant("renderer", candidates, PROBES, clock=CLOCK)[0] is candidates["int8"]


def test_what_is_not_finite_does_not_agree() -> None:
    good = [{"y": np.ones(3, np.float32)}]
    agreed, words = compare_outputs(good, [{"y": np.array([1, np.nan, 1], np.float32)}])
    assert not agreed and "not finite" in words


@pytest.mark.parametrize(("error", "agrees"), [(0.01, True), (0.1, False)])
def test_other_outputs_are_compared_by_their_range(error: float, agrees: bool) -> None:
    values = np.linspace(0, 1, 100, dtype=np.float32)
    assert compare_outputs([{"h": values}], [{"h": values + np.float32(error)}])[0] is agrees


def test_onnx_runtime_runs_any_batch_in_one_thread() -> None:
    backend = OnnxCpuBackend()
    graph = backend.load("motion", sample_file.PARTS["motion.fp32.onnx"])
    for size in (1, 3, 8):
        feeds = {
            "features": np.full((size, 4, 66), size, np.float32),
            "state_0": np.zeros((size, 8), np.float32),
        }
        outputs = graph.run(feeds)
        assert outputs["tract"].shape == (size, 4, 66) and outputs["tract"].max() == size
    options = graph._session.get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert backend.name.startswith("onnx-cpu (ONNX Runtime ")


def test_what_onnx_runtime_refuses_is_a_sentence() -> None:
    with pytest.raises(PersonFileError, match="'broken.onnx' is refused by ONNX Runtime"):
        OnnxCpuBackend().load("broken.onnx", b"nothing")


@pytest.mark.parametrize("lacking", [True, False])
def test_a_processor_without_vnni_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lacking: bool
) -> None:
    """Sums of bytes saturate there: the log says whose fault it is."""
    monkeypatch.setattr(processor, "is_x86", lambda: True)
    flags = {"avx2"} if lacking else {"avx2", "avx512_vnni"}
    monkeypatch.setattr(processor, "features", lambda: flags)
    saturated = Slow(1, lambda x: np.minimum(x, 127))
    with caplog.at_level("INFO"):
        graph, _ = choose_variant("r", {"fp32": Slow(4), "int8": saturated}, PROBES, clock=CLOCK)
    words = "refused, it differs too much from fp32: this processor has no VNNI"
    assert (words in caplog.text) == lacking and "refused" in caplog.text
    assert isinstance(graph, Slow)


def test_a_backend_runs_every_variant_unless_it_says_so() -> None:
    class Some(OnnxCpuBackend):
        variants = frozenset({"fp16"})

    assert variants_of(OnnxCpuBackend()) == {"fp32", "fp16", "int8"}
    assert variants_of(Some()) == {"fp32", "fp16"}
