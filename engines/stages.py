"""What the pipeline asks of each stage, and which class carries out which operation.

A stage is built from its parameters and its parts, never from a path, and holds nothing of a
session. What a session carries is a state that the stage makes and changes; stages that carry none
have no state. N is the number of sessions in a batch; arrays are C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from visavis.engines.attributes import AttributeRaster
from visavis.engines.audio import LogMel
from visavis.engines.backend import Graph
from visavis.engines.background import Background
from visavis.engines.cepstra import Cepstra
from visavis.engines.composite import Feather
from visavis.engines.controls import Controls
from visavis.engines.errors import PersonFileError
from visavis.engines.footage import Footage
from visavis.engines.geometry import LinearGeometry
from visavis.engines.mesh import MeshGeometry
from visavis.engines.motion import CHANNELS, STEPS, Tract
from visavis.engines.nothing import NoGeometry, NoRaster
from visavis.engines.paste import Paste
from visavis.engines.person import Person
from visavis.engines.person_manifest import StageSpec
from visavis.engines.planes import Planes
from visavis.engines.render import FreeRender, Render, RenderStage
from visavis.engines.sketch import SketchRaster
from visavis.engines.voice_activity import VoiceActivity
from visavis.engines.walk import Cue
from visavis.engines.windowed import Windowed

__all__ = [
    "STAGE_ORDER",
    "AudioStage",
    "BackgroundStage",
    "CompositeStage",
    "Controllable",
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
    rows: int  # R in a tick: 4 of 10 ms, or 2 of 20 ms

    def initial_state(self) -> Any: ...

    def step(self, state: Any, pcm: F32) -> F32:
        """Take f32[n] samples, give f32[m, F] rows, R a tick; `state` changes in place."""

    def step_many(self, states: Sequence[Any], pcm: Sequence[F32]) -> list[F32]:
        """The same for N sessions, to the last bit. Where it raises, no state has changed."""


class MotionStage(Protocol):
    """Built of its parameters, its parts and a graph. It may have `apply`; see `Controllable`."""

    size: int  # C, coefficients
    voice_activity: VoiceActivity  # whose opinions `step` is given

    def initial_state(self, lookahead_ms: int) -> Any: ...

    def restarted(self, state: Any) -> Any:
        """Return the state of a session whose sound was taken back: nothing of it is known."""

    def step(
        self, states: Sequence[Any], features: F32, voiced: Sequence[NDArray[np.bool_]]
    ) -> tuple[F32, F32]:
        """Take f32[N, R, F] rows, give coefficients f32[N, C] and speech f32[N].

        The rows end where the tick's look-ahead L ends, which is the session's own: with four rows
        a tick, tick k is given rows 4k + L/10 - 4 to 4k + L/10 - 1, and before the first tick all
        earlier ones, preceded by rows of zeros to make them a multiple of R. `voiced` is, per
        session, what `voice_activity` has said since the tick before, bool[n]. States change; their
        arrays are replaced, not written into, so that a shallow copy undoes a step.
        """


@runtime_checkable
class Controllable(Protocol):
    """A stage that does what a visitor chose."""

    def apply(self, state: Any, controls: Controls) -> None:
        """Change a session's state, in place."""


class BackgroundStage(Protocol):
    """Built as ``Stage(params, parts, matte)``. It may have `apply`; see `Controllable`."""

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

    def alpha(self, choice: Any) -> U8:
        """Return how much of the chosen frame is the person, fresh, uint8[H, W].

        Only of a person that has a matte.
        """

    def picture_and_alpha(self, choice: Any) -> tuple[U8, U8]:
        """Return both, for less than one after the other."""


class GeometryStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    def vertices(self, coefficients: F32, choices: Sequence[Any]) -> F32:
        """Give f32[N, V, K] from f32[N, C] and the frames' poses, as the raster takes them.

        With `linear@1` K is 3, pixels of the crop; with `mesh@1` it is clip space and attributes.
        """


class RasterStage(Protocol):
    """Built as ``Stage(params, parts)``.

    A raster with `ahead` frames draws each so long before it is shown, for a network that looks at
    what comes after a frame; the frame's coefficients are then those of the frame that is drawn.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """P, H, W."""

    @property
    def ahead(self) -> int:
        """How many frames; mostly none."""

    def initial_state(self) -> Any: ...

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[Any],
        pictures: Sequence[U8],
        out: F32,
        states: Sequence[Any],
    ) -> None:
        """Draw f32[N, P, H, W] into `out`, of f32[N, V, K] and f32[N, C].

        States change; their arrays are replaced, not written into, so that a shallow copy undoes
        it. `pictures` are those that are shown now, before anything is pasted.
        """


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
    render: RenderStage
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
    if stages.raster.shape != stages.render.planes:
        raise PersonFileError(
            f"The raster draws planes of shape {stages.raster.shape}, the renderer takes "
            f"{stages.render.planes}."
        )
    if isinstance(stages.motion, Windowed) and stages.audio.size != stages.motion.features:
        raise PersonFileError(
            f"The audio gives rows of {stages.audio.size} values, the motion takes "
            f"{stages.motion.features}."
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


def _cepstra(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> AudioStage:
    return Cepstra(spec.params)


def _windowed(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> MotionStage:
    name = spec.params["graph"]
    audio = person.stages["audio"]
    rows = _BUILDERS[audio.op](person, audio, graphs).rows
    return Windowed(spec.params, person.graphs[name], graphs[name], rows)


def _mesh(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> GeometryStage:
    name = spec.params["graph"]
    return MeshGeometry(spec.params, person.graphs[name], graphs[name])


def _attributes(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> RasterStage:
    return AttributeRaster(spec.params, person.stage_parts("raster"))


def _sketch(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> RasterStage:
    return SketchRaster(spec.params, person.stage_parts("raster"))


def _free_graph(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> RenderStage:
    name = spec.params["graph"]
    return FreeRender(spec.params, person.graphs[name], graphs[name])


def _paste(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> CompositeStage:
    return Paste(spec.params, person.stage_parts("composite"))


def _footage(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> BackgroundStage:
    return Footage(spec.params, person.stage_parts("background"), person.matte)


def _nothing(person: Person, spec: StageSpec, graphs: Mapping[str, Graph]) -> Any:
    return NoGeometry() if spec is person.stages["geometry"] else NoRaster()


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
    return Background(spec.params, person.stage_parts("background"), person.matte)


_BUILDERS: Mapping[str, Callable[[Person, StageSpec, Mapping[str, Graph]], Any]] = {
    "logmel@1": _logmel,
    "tract@2": _tract,
    "linear@1": _linear,
    "planes@2": _planes,
    "graph@1": _graph,
    "feather@1": _feather,
    "walk@2": _walk,
    "cepstra@1": _cepstra,
    "windowed@1": _windowed,
    "mesh@1": _mesh,
    "attributes@1": _attributes,
    "sketch@1": _sketch,
    "graph@2": _free_graph,
    "paste@1": _paste,
    "footage@1": _footage,
    "none@1": _nothing,
}
