"""Compares what was exported with the trained torch networks, graph by graph and as a whole.

Exporters have been silently wrong. So nothing that they say of themselves counts: the trained
networks run in the engine in place of the exported ones, on a voice and on frames that the 8-bit
ranges were not chosen by, and what comes out must be the same within `engines.agreement`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.agreement import FRAME_BOUNDS, compare
from visavis.engines.backend import Backend, Graph
from visavis.engines.errors import PersonFileError
from visavis.engines.i420 import planes_of
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.probe import probe_voice
from visavis.engines.references import Reference, replay
from visavis.engines.verify import Verdict, run_variant
from visavis.export.plain_backend import PlainBackend
from visavis.export.torch_backend import Recorder, TorchBackend

__all__ = ["Seen", "compare_frames", "compare_graphs", "watch_trained"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

TICKS = 100  # of the voice: 4 s
SHOWN = 5  # every so many ticks a frame is drawn: what lies between is heard alone
SEED = 0
LOUD_ROWS = 4
# Planes so far beyond their range that clamps show; of an 8-bit network that says nothing, as its
# ranges are chosen by what there is.
LOUD = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person does with the babble.

    Attributes:
        references: by graph, of every row that was fed to the trained network.
        frames: y uint8[K, S, S], u and v uint8[K, S/2, S/2], the crop as it was pasted.
        corners: int[K, 2], left and top of the crop in the frame.
    """

    references: Mapping[str, Reference]
    frames: Mapping[str, U8]
    corners: NDArray[np.int64]


def watch_trained(person: Person, trained: Mapping[str, Graph]) -> Seen:
    """Let the trained networks draw.

    Args:
        person: the exported one: all but its networks is used.
        trained: the torch networks by graph.

    Raises:
        PersonFileError: the person does not run.
    """
    recorders = {name: Recorder(graph) for name, graph in trained.items()}
    backend = TorchBackend(
        {person.graphs[name].variants["fp32"]: graph for name, graph in recorders.items()},
        OnnxCpuBackend(),
    )
    pictures, corners, _ = _draw(person, backend, "fp32", None)
    references = {}
    for name, recorder in recorders.items():
        spec = person.graphs[name]
        states = {before for before, _ in spec.state}, {after for _, after in spec.state}
        references[name] = Reference(
            {
                key: np.concatenate([feeds[key] for feeds in recorder.fed])
                for key in spec.inputs.keys() - states[0]
            },
            {
                key: np.concatenate([outputs[key] for outputs in recorder.given])
                for key in spec.outputs.keys() - states[1]
            },
        )
    return Seen(references, pictures, corners)


def compare_graphs(
    person: Person, trained: Mapping[str, Graph], seen: Seen, held_out: F32
) -> list[Verdict]:
    """Compare every variant of every graph that there is a trained network of.

    Args:
        trained: the torch networks by graph.
        held_out: f32[K, P, S/2, S/2], planes that no range was chosen by, for the renderer.
    """
    verdicts = []
    for name in trained:
        spec = person.graphs[name]
        reference = seen.references[name]
        loud = reference
        if name == person.stages["render"].params["graph"]:
            further = {"planes": held_out}
            reference = _joined(reference, Reference(further, replay(trained[name], spec, further)))
            shouted = {"planes": held_out[:LOUD_ROWS] * np.float32(LOUD)}
            loud = _joined(reference, Reference(shouted, replay(trained[name], spec, shouted)))
        for variant in spec.variants:
            asked = reference if variant == "int8" else loud
            verdicts.append(
                _judged(
                    variant,
                    lambda backend, name=name, variant=variant, asked=asked: run_variant(  # type: ignore[misc]
                        person, name, variant, backend, asked, repeats=0
                    ),
                )
            )
    return verdicts


def compare_frames(person: Person, seen: Seen) -> list[Verdict]:
    """Compare the frames of the whole engine, by the renderer's variants.

    Raises:
        PersonFileError: the person does not run.
    """
    graph = person.stages["render"].params["graph"]

    def run(backend: Backend, variant: str) -> Verdict:
        pictures, _, milliseconds = _draw(person, backend, variant, seen.corners)
        figures = compare(seen.frames, pictures)
        return Verdict(
            "frames", variant, backend.name, figures, FRAME_BOUNDS[variant], milliseconds
        )

    return [
        _judged(variant, lambda backend, variant=variant: run(backend, variant))  # type: ignore[misc]
        for variant in person.graphs[graph].variants
    ]


def _judged(variant: str, run: Callable[[Backend], Verdict]) -> Verdict:
    verdict = run(OnnxCpuBackend())
    if verdict.past and variant == "int8":
        # The processor may be wrong and not the file; `verify` and the engine will find that out.
        verdict = run(PlainBackend())
    return verdict


def _draw(
    person: Person, backend: Backend, variant: str, corners: NDArray[np.int64] | None
) -> tuple[dict[str, U8], NDArray[np.int64], float]:
    """Return crops of the finished frames, their corners, and milliseconds of a frame."""
    pipeline = Pipeline(person, backend=backend, variant=variant)
    state = pipeline.initial_state(SEED)
    crops: list[tuple[U8, U8, U8]] = []
    found: list[tuple[int, int]] = []
    seconds = []
    size = 2 * person.graphs[person.stages["render"].params["graph"]].inputs["planes"][1]
    for tick, pcm in enumerate(probe_voice(person.lookahead_ms, TICKS)):
        work = Work(state, pcm, tick % SHOWN == SHOWN - 1)
        start = time.perf_counter()
        pipeline.advance([work])
        if work.error is not None:
            raise PersonFileError(
                f"The person {person.name!r} does not run: {work.error}."
            ) from work.error
        if work.i420 is None:
            continue
        seconds.append(time.perf_counter() - start)
        found.append(work.choice.origin if corners is None else tuple(corners[len(found)]))
        crops.append(_cut(work.i420, *found[-1], size))
    y, u, v = (np.stack(planes) for planes in zip(*crops, strict=True))
    median = 1000.0 * float(np.median(seconds))
    return {"y": y, "u": u, "v": v}, np.array(found, np.int64), median


def _cut(i420: U8, left: int, top: int, size: int) -> tuple[U8, U8, U8]:
    y, u, v = planes_of(i420)
    small = np.s_[top // 2 : (top + size) // 2, left // 2 : (left + size) // 2]
    return y[top : top + size, left : left + size], u[small], v[small]


def _joined(*several: Reference) -> Reference:
    def together(of: Sequence[Mapping[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
        return {key: np.concatenate([arrays[key] for arrays in of]) for key in of[0]}

    inputs = {
        key: np.asarray(array, np.float32)
        for key, array in together([one.inputs for one in several]).items()
    }
    return Reference(inputs, together([one.outputs for one in several]))
