"""What the pipeline asks of each stage, and which class carries out which operation.

A stage is built from its parameters and its parts, never from a path, and holds nothing of a
session. What a session carries is a state that the stage makes and changes; stages that carry none
have no state. N is the number of sessions in a batch; arrays are C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.audio import LogMel
from visavis.engines.backend import Graph
from visavis.engines.background import Background
from visavis.engines.composite import Feather
from visavis.engines.errors import PersonFileError
from visavis.engines.geometry import LinearGeometry
from visavis.engines.motion import CHANNELS, STEPS, Tract
from visavis.engines.person import Person
from visavis.engines.person_manifest import StageSpec
from visavis.engines.planes import Planes
from visavis.engines.render import Render
from visavis.engines.voice_activity import VoiceActivity
from visavis.engines.walk import Cue

__all__ = [
    "STAGE_ORDER",
    "AudioStage",
    "BackgroundStage",
    "CompositeStage",
    "GeometryStage",
    "MotionStage",
    "Parts",
    "RasterStage",
    "Stages",
    "build_stages",
]

# As `Pipeline.times` names them: the stages in their order, the copy of the frame among them.
STAGE_ORDER = (
    "audio",
    "motion",
    "background",
    "picture",
    "geometry",
    "raster",
    "render",
    "composite",
)

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Parts = Mapping[str, NDArray[np.generic] | bytes]


class AudioStage(Protocol):
    """Built as ``Stage(params)``."""

    size: int  # F, values in a row

    def initial_state(self) -> Any: ...

    def step(self, state: Any, pcm: F32) -> F32:
        """Take f32[n] samples, give f32[m, F] rows, one every 10 ms; `state` changes in place."""

    def step_many(self, states: Sequence[Any], pcm: Sequence[F32]) -> list[F32]:
        """The same for N sessions, to the last bit. Where it raises, no state has changed."""


class MotionStage(Protocol):
    """Built as ``Stage(params, parts, graph)``."""

    size: int  # C, coefficients
    voice_activity: VoiceActivity  # whose opinions `step` is given

    def initial_state(self, lookahead_ms: int) -> Any: ...

    def step(
        self, states: Sequence[Any], features: F32, voiced: Sequence[NDArray[np.bool_]]
    ) -> tuple[F32, F32]:
        """Take f32[N, 4, F] rows, give coefficients f32[N, C] and speech f32[N].

        The rows end where the tick's look-ahead L ends, which is the session's own: tick k is given
        rows 4k + L/10 - 4 to 4k + L/10 - 1, and before the first tick all earlier ones, preceded by
        rows of zeros to make them a multiple of four. `voiced` is, per session, what
        `voice_activity` has said since the tick before, bool[n]. States change; their arrays are
        replaced, not written into, so that a shallow copy undoes a step.
        """


class BackgroundStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    def warm_up(self) -> None:
        """Run all that a picture may need once, so that nothing compiles later."""

    def initial_state(self, seed: int | None) -> Any: ...

    def look_ahead(self, state: Any) -> bool:
        """Make one picture ready of those that `state` comes to; False where all are."""

    def rest(self) -> None:
        """Give back the memory of pictures that can be made again."""

    def step(self, state: Any, cue: Cue) -> Any:
        """Choose what is shown next, by what is heard; `state` changes in place."""

    def picture(self, choice: Any) -> U8:
        """Return the chosen frame as a fresh I420 array, uint8[H * 3 / 2, W]."""


class GeometryStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    def vertices(self, coefficients: F32, choices: Sequence[Any]) -> F32:
        """Give f32[N, V, 3] in crop pixels, from f32[N, C] and the frames' poses."""


class RasterStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    planes: int  # P
    size: int  # S

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[Any],
        pictures: Sequence[U8],
        out: F32,
    ) -> None:
        """Draw f32[N, P, S/2, S/2] into `out`, of f32[N, V, 3] and f32[N, C]."""


class CompositeStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    def paste(self, picture: U8, choice: Any, y: U8, u: U8, v: U8) -> None:
        """Blend a crop (uint8[S, S], uint8[S/2, S/2] twice) into `picture`, in place."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of one person."""

    audio: AudioStage
    motion: MotionStage
    background: BackgroundStage
    geometry: GeometryStage
    raster: RasterStage
    render: Render
    composite: CompositeStage


def build_stages(person: Person, graphs: Mapping[str, Graph]) -> Stages:
    """Build the stages of a person.

    Args:
        graphs: the person's networks by name, ready to run.

    Raises:
        PersonFileError: stages do not fit together. What stages themselves raise about their
            parameters and parts (KeyError, TypeError, ValueError) is passed on.
    """
    built: dict[str, Any] = {
        name: _BUILDERS[spec.op](person, spec, graphs) for name, spec in person.stages.items()
    }
    stages = Stages(**built)
    planes, size = stages.render.planes[0], 2 * stages.render.planes[1]
    if (stages.raster.planes, stages.raster.size) != (planes, size):
        raise PersonFileError(
            f"The raster draws {stages.raster.planes} planes for {stages.raster.size} pixels, the "
            f"renderer takes {planes} for {size}."
        )
    if stages.render.coefficients not in (None, (stages.motion.size,)):
        raise PersonFileError(
            f"The renderer takes coefficients of shape {stages.render.coefficients}, the motion "
            f"gives {stages.motion.size}."
        )
    return stages


def _logmel(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> AudioStage:
    return LogMel(spec.params)


def _tract(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> MotionStage:
    name = spec.params["graph"]
    wanted = (len(person.lookaheads_ms), STEPS, len(CHANNELS))
    given = person.graphs[name].outputs.get("tract")
    if given != wanted:
        raise PersonFileError(
            f"The graph {name!r} gives a tract of shape {given} for "
            f"{len(person.lookaheads_ms)} look-aheads, not {wanted}."
        )
    return Tract(spec.params, person.stage_parts("motion"), graphs[name])


def _linear(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> GeometryStage:
    return LinearGeometry(spec.params, person.stage_parts("geometry"))


def _planes(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> RasterStage:
    return Planes(spec.params, person.stage_parts("raster"))


def _graph(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> Render:
    name = spec.params["graph"]
    return Render(spec.params, person.graphs[name], graphs[name])


def _feather(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> CompositeStage:
    return Feather(spec.params, person.stage_parts("composite"))


def _walk(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> BackgroundStage:
    return Background(spec.params, person.stage_parts("background"))


_BUILDERS: Mapping[str, Callable[[Person, StageSpec, Mapping[str, Graph]], Any]] = {
    "logmel@1": _logmel,
    "tract@2": _tract,
    "linear@1": _linear,
    "planes@2": _planes,
    "graph@1": _graph,
    "feather@1": _feather,
    "walk@2": _walk,
}
