"""The published systems' networks against each other: what is counted, timed, compared and said."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from visavis.benchmarks import systems
from visavis.engines import memory
from visavis.engines.errors import ConfigError, PersonFileError
from visavis.export.torch_onnx import export_module
from visavis.models.systems import speed
from visavis.models.systems.rhythmic.generator import Source
from visavis.models.systems.speed import timing
from visavis.models.systems.speed.original_rhythmic import WholeGenerator
from visavis.models.systems.speed.workload import Workload, examples


class Twice(nn.Module):
    """A convolution from 2 to 3 channels, after something that a person fixes."""

    def __init__(self, factor: float = 2.0, *, extra: bool = False) -> None:
        super().__init__()
        self.extra = nn.Linear(10, 10) if extra else None
        self.unused = nn.Linear(1000, 1000)
        self.conv = nn.Conv2d(2, 3, 1, bias=False)
        nn.init.constant_(self.conv.weight, factor)

    def forward(self, x: Tensor) -> Tensor:
        if self.extra is not None:
            self.extra(torch.zeros(x.shape[0], 10))
        made: Tensor = self.conv(x)
        return made


def tiny(ours: nn.Module, frames: int = 1) -> Workload:
    whole = Twice(extra=True)
    shapes = {"x": (2, 4, 5)}
    return Workload(
        "picture", whole, ours, shapes, shapes, ("y",), original_frames=frames, compared=whole
    )


def refuse(*_: object, **__: object) -> bytes:
    """An exporter that exports nothing: it takes long for the larger networks."""
    raise PersonFileError("It cannot be exported: no such thing.")


@pytest.mark.parametrize(
    ("name", "batches"),
    [("davs", (1,)), ("headpose", (1, 2)), ("rhythmic-1", (1,)), ("rhythmic-8", (1, 2))],
)
def test_what_a_person_fixes_is_gone_and_the_rest_computes_the_same(
    name: str, batches: tuple[int, ...]
) -> None:
    result = systems.run(
        refuse, systems=[name], batches=batches[::-1], seconds=1e-4, scale=8, parts=["picture"]
    )
    json.dumps(result, allow_nan=False)
    (row,) = result["rows"]
    assert row["system"] == name and row["part"] == "picture"
    assert 0 < row["gflop"]["ours"] < 0.7 * row["gflop"]["original"]
    assert row["parameters"]["ours"] < row["parameters"]["original"]
    *runs, runtime = row["runs"]
    assert [(run["batch"], run["way"]) for run in runs] == [
        (batch, way) for batch in batches for way in (timing.ORIGINAL, timing.OURS)
    ]
    for run in runs:
        assert run["ms_a_frame"] > 0 and run["calls"] >= 3
    assert runs[1]["deviation"] < 2e-3
    assert all(run["ratio"] == 1.0 for run in runs[::2])
    assert runtime["not_run"] == "It cannot be exported: no such thing."
    text = systems.table(result)
    assert "REDUCED" in text and f"{name}, picture" in text and "8 bits: no variant" in text
    assert "not run: It cannot be exported" in text


def test_ours_runs_as_a_person_file_has_it() -> None:
    result = systems.run(
        export_module, systems=["davs"], batches=[1, 2], seconds=1e-4, scale=8, parts=["motion"]
    )
    runs = [run for run in result["rows"][0]["runs"] if run["way"] == systems.RUNTIME]
    assert [run["batch"] for run in runs] == [1, 2] and all(run["ratio"] > 0 for run in runs)
    assert 0 <= runs[0]["deviation"] < 1e-4


def test_arithmetic_and_parameters_are_those_that_a_call_uses() -> None:
    row = timing.measure(tiny(Twice(), frames=4), (1,), seconds=1e-4)
    convolution, linear = 2 * 2 * 3 * 4 * 5, 2 * 10 * 10
    assert row["gflop"] == {
        "original": round((convolution + linear) / 4 / 1e9, 6),
        "ours": round(convolution / 1e9, 6),
    }
    assert row["parameters"] == {"original": 6 + 110, "ours": 6}


def test_the_published_davs_costs_what_is_known_of_it() -> None:
    """9.08 and 19.15 GFLOP of encoder and decoder, counted on the original's own classes."""
    work = list(speed.workloads("davs"))[1]
    parameters, operations = timing._cost(work.original, work.original_inputs)
    assert operations / 1e9 == pytest.approx(9.08 + 19.15, abs=0.02)
    assert parameters == pytest.approx(15.62e6 + 22.40e6, rel=1e-3)


def test_a_shortcut_that_computes_something_else_shows() -> None:
    """The toy: a network that is fast because it does not do the work."""
    row = timing.measure(tiny(Twice(1.0)), (1, 2), seconds=1e-4)
    original, ours, *later = row["runs"]
    assert ours["deviation"] == pytest.approx(0.5) and "deviation" not in original
    assert all("deviation" not in run for run in later)


def test_ways_take_turns() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    taken = timing._turns(calls, 0.0, "cpu", {name: {} for name in "abc"})
    assert "".join(order) == "abc" * timing.LEAST_ROUNDS
    assert [name for name, _ in taken] == ["a", "b", "c"]


def test_a_call_makes_as_many_frames_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(now)))
    runs = timing.measure(tiny(Twice(), frames=4), (1, 2), seconds=0.0)["runs"]
    # Every call takes a second of this clock.
    assert [run["ms_a_frame"] for run in runs] == [250.0, 1000.0, 125.0, 500.0]
    assert [run["ratio"] for run in runs] == [1.0, 0.25, 1.0, 0.25]


def test_what_would_take_too_long_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "LONGEST_CALL_S", 0.0)
    runs = timing.measure(tiny(Twice()), (1, 2), seconds=0.0)["runs"]
    assert "ms_a_frame" in runs[0] and "would take about" in runs[2]["not_run"]
    assert "would take about" in runs[3]["not_run"]


def test_what_fails_is_said_and_the_rest_is_measured() -> None:
    class Fails(Twice):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise RuntimeError("out of memory\nand much more")
            return super().forward(x)

    threads = torch.get_num_threads()
    runs = timing.measure(tiny(Fails()), (1, 2), seconds=0.0, threads=threads + 1)["runs"]
    assert torch.get_num_threads() == threads
    assert runs[3]["not_run"] == "out of memory" and runs[2]["ratio"] == 1.0


def test_what_is_not_finite_is_not_timed() -> None:
    runs = timing.measure(tiny(Twice(float("inf"))), (1,), seconds=0.0)["runs"]
    assert runs[1]["not_run"] == "with these weights it gives what is not finite"


def test_whole_rhythmic_is_the_generator_frame_by_frame() -> None:
    """The whole program's arithmetic is the generator's, with references of every frame."""
    (work,) = speed.workloads("rhythmic-8", 8)
    whole = work.original
    assert isinstance(whole, WholeGenerator)
    sketch, pose = examples(work.inputs, 2).values()
    generator = whole.generator
    with torch.no_grad():
        found = whole(sketch, pose)
        known = generator.references(whole.images, whole.sketches)
        for k in range(2):
            one = sketch[k : k + 1]
            apart = (pose[k, :3] - whole.rotations).abs().mean(1)
            nearest = int(apart.argmin())
            source = Source(
                whole.sketches[nearest : nearest + 1], whole.hidden[nearest : nearest + 1]
            )
            appearance = generator.appearance(known, generator.attended(known, one))
            wanted = generator(
                appearance,
                one,
                generator.warped_reference(one, source),
                generator.warped_render(one, source),
            )
            assert (found[k] - wanted[0]).abs().max() < 2e-3
    assert 0.2 < found.std() < 0.9  # neither of them is one flat colour


def test_every_system_has_its_parts() -> None:
    for name in speed.SYSTEMS:
        if name.startswith("rhythmic"):
            continue
        first = next(speed.workloads(name, 8))
        assert first.part == "motion", name


def test_short_memory_is_a_row_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 30)
    result = systems.run(export_module, systems=["audiodvp"])
    assert "GiB of memory, and 1.0 are free" in result["rows"][0]["not_run"]
    assert "audiodvp: not run: it needs about" in systems.table(result)
    assert speed.needed_bytes("audiodvp", 8, 1, copies=4) < 1 << 30


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"systems": ["nobody"]}, "'nobody' is no system here; there are davs, "),
        ({"scale": 3}, "A scale is 1, 2, 4 or 8, not 3"),
        pytest.param(
            {"device": "cuda"},
            "no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_is_not_there_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        systems.run(export_module, **options)  # type: ignore[arg-type]
