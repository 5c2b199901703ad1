"""What the pipeline asks of each stage, and which class carries out which operation.

A stage is built from its parameters and its parts, never from a path, and holds nothing of a
session. What a session carries is a state that the stage makes and changes; stages that carry none
have no state. N is the number of sessions in a batch; arrays are C-contiguous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.person import Person
from visavis.engines.render import Render

__all__ = [
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

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Parts = Mapping[str, NDArray[np.generic] | bytes]


class AudioStage(Protocol):
    """Built as ``Stage(params)``."""

    size: int  # F, values in a row

    def initial_state(self) -> Any: ...

    def step(self, state: Any, pcm: F32) -> F32:
        """Take f32[n] samples, give f32[m, F] rows, one every 10 ms; `state` changes in place."""


class MotionStage(Protocol):
    """Built as ``Stage(params, parts, run)``, `run` being `Graph.run`."""

    size: int  # C, coefficients

    def initial_state(self) -> Any: ...

    def step(self, states: Sequence[Any], features: Sequence[F32]) -> tuple[F32, F32]:
        """Take each session's new rows, give coefficients f32[N, C] and speech f32[N].

        A session's first tick carries all rows of the look-ahead, every other one four. States
        change; their arrays are replaced, not written into, so that a shallow copy undoes a step.
        """


class BackgroundStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    def initial_state(self, seed: int | None) -> Any: ...

    def step(self, state: Any, speech: float) -> Any:
        """Choose the next frame; `state` changes in place."""

    def picture(self, choice: Any) -> U8:
        """Return the chosen frame as a fresh I420 array, uint8[H * 3 / 2, W]."""


class GeometryStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    def vertices(self, coefficients: F32, choices: Sequence[Any]) -> F32:
        """Give f32[N, V, 3] in crop pixels, from f32[N, C] and the frames' poses."""


class RasterStage(Protocol):
    """Built as ``Stage(params, parts)``."""

    planes: int  # P

    def draw(self, vertices: F32, choices: Sequence[Any], pictures: Sequence[U8], out: F32) -> None:
        """Draw f32[N, P, S/2, S/2] into `out`."""


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
    raise NotImplementedError
