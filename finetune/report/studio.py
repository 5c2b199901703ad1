"""The engine's own stages, asked for single frames: what would be sent, before it is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.backend import Feeds
from visavis.engines.errors import EngineError, PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.stages import Stages, build_stages
from visavis.engines.walk import Cue, FrameChoice
from visavis.finetune.lips.yardstick.clips import TICK
from visavis.finetune.lips.yardstick.mouth import Mouth, mouth_of
from visavis.finetune.renderer.evaluate import luma
from visavis.models.renderer import PLANES, drawn

__all__ = ["Spoken", "Studio"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

SEED = 0


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sound of N frames through the whole engine.

    Attributes:
        coefficients: float32[N, C]; gate: float32[N], how far it is open.
        poses: float32[K, 3, 4], of the frames that were drawn.
    """

    coefficients: F32
    gate: F32
    poses: F32


class _Drawn:
    """In place of the renderer: what its planes show already."""

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        levels = drawn(torch.from_numpy(feeds["planes"])).numpy()
        y = np.clip(np.rint(luma(levels)), 16, 235).astype(np.uint8)
        chroma = np.clip(np.rint(levels[:, 4:] * 128.0 + 128.0), 16, 240).astype(np.uint8)
        return {"y": y, "u": chroma[:, 0], "v": chroma[:, 1]}


class Studio:
    """A person, frame by frame.

    Args:
        person: who is shown.
        lookahead_ms: one that the person offers.

    Attributes:
        variants: which variant of each network runs, as the engine chose it on this machine.
        mask: uint8[S, S], share of the renderer's picture in 255ths.

    Raises:
        PersonFileError: the person does not run.
    """

    def __init__(self, person: Person, lookahead_ms: int) -> None:
        self.person = person
        self.lookahead_ms = lookahead_ms
        self._pipeline = Pipeline(person)
        self.variants = {name: "fp32" for name in person.graphs} | {
            name: report.variant
            for name, reports in self._pipeline.variants.items()
            for report in reports
            if report.chosen
        }
        backend = OnnxCpuBackend()
        self._graphs = {
            name: backend.load(file, person.parts[file])
            for name, spec in person.graphs.items()
            for file in (spec.variants[self.variants[name]],)
        }
        self._stages = build_stages(person, self._graphs)
        self.mask: U8 = np.asarray(person.stage_parts("composite")["mask"], np.uint8)
        parts = person.stage_parts("geometry")
        self._mean = np.asarray(parts["mean"], np.float64)
        self._basis = np.asarray(parts["basis"], np.float64)
        self._lips = np.asarray(person.stage_parts("raster")["lips"], np.int64)
        self._anchor = np.array([*person.stages["background"].params["anchor"], 1.0], np.float32)

    @property
    def contour(self) -> F64:
        """The inner contour of the lips at rest, float64[L, 3], head space."""
        return np.asarray(self._mean[self._lips])

    def shapes(self, coefficients: F32) -> F64:
        """The inner contours of f32[K, C], float64[K, L, 3], head space."""
        basis = self._basis[:, self._lips]
        return np.asarray(self.contour + np.einsum("kc,cld->kld", coefficients, basis))

    def lips(self, coefficients: F32, pose: F32) -> F64:
        """The inner contour in a frame, float64[L, 2] pixels, of f32[C] and f32[3, 4]."""
        shape = self.shapes(coefficients[None])[0]
        return np.asarray(shape @ pose[:2, :3].T.astype(np.float64) + pose[:2, 3])

    def asked(self, coefficients: F32) -> Mouth:
        """The mouths that coefficients float32[K, C] ask for."""
        return mouth_of(self._mean + np.einsum("kc,cvd->kvd", coefficients, self._basis))

    def origin(self, pose: F32) -> tuple[int, int]:
        """Left and top of the crop, as the engine places it.

        Raises:
            PersonFileError: it would leave the frame.
        """
        size = len(self.mask)
        x, y = (pose[:2] @ self._anchor).tolist()
        left, top = (2 * round((at - size // 2) / 2) for at in (x, y))
        if not (0 <= left <= self.person.width - size and 0 <= top <= self.person.height - size):
            raise PersonFileError("The face is too near to the border of the clip's frame.")
        return left, top

    def without_network(self) -> Stages | None:
        """Stages that show what the renderer adds to; None where planes are of another kind."""
        if self._stages.raster.shape[0] != PLANES:
            return None
        name = self.person.stages["render"].params["graph"]
        return build_stages(self.person, {**self._graphs, name: _Drawn()})

    def tracked(self, frame: U8, pose: F32, coefficients: F32, stages: Stages | None = None) -> U8:
        """Return a real frame whose mouth is made by the engine, uint8[H*3/2, W].

        Args:
            frame: uint8[H*3/2, W], I420; what stays visible is its own.
            pose: f32[3, 4]; coefficients: f32[C].
            stages: others than the person's own.

        Raises:
            PersonFileError: the crop would leave the frame.
        """
        used = self._stages if stages is None else stages
        choice = FrameChoice((0,), 0.0, pose, self.origin(pose))
        picture = np.array(frame, np.uint8)
        planes = np.zeros((1, *used.render.planes), np.float32)
        row = np.ascontiguousarray(coefficients[None], np.float32)
        vertices = used.geometry.vertices(row, [choice])
        memory = [used.raster.initial_state()]
        used.raster.draw(vertices, row, [choice], [picture], planes, memory)
        y, u, v = used.render.draw(planes, row, [choice])
        used.composite.paste(picture, choice, y[0], u[0], v[0])
        return picture

    def speak(self, sound: F32, wanted: I64, out: U8) -> Spoken:
        """Let the whole engine hear a sound from the beginning, and draw some of its frames.

        Args:
            sound: float32[640 N].
            wanted: int[K], rising, of the N frames.
            out: uint8[K, H*3/2, W], overwritten.

        Raises:
            EngineError: the engine does not run.
        """
        ahead = self.lookahead_ms * 16
        padded = np.concatenate((sound, np.zeros(ahead, np.float32)))
        state = self._pipeline.initial_state(SEED, self.lookahead_ms)
        row = {int(frame): index for index, frame in enumerate(wanted)}
        coefficients, gate, poses = [], [], []
        for tick in range(len(sound) // TICK):
            begin = 0 if tick == 0 else ahead + (tick - 1) * TICK
            work = Work(state, padded[begin : ahead + tick * TICK], tick in row)
            self._pipeline.advance([work])
            if work.error is not None or work.coefficients is None:
                raise EngineError(f"Frame {tick} cannot be made: {work.error}.") from work.error
            coefficients.append(work.coefficients)
            gate.append(work.speech)
            if work.i420 is not None:
                out[row[tick]] = work.i420
                poses.append(np.asarray(work.choice.pose, np.float32))
        return Spoken(np.stack(coefficients), np.asarray(gate, np.float32), np.stack(poses))

    def idle(self, frames: int) -> Sequence[FrameChoice]:
        """Return what stands behind the mouth while nobody speaks, frame by frame."""
        background = self._stages.background
        state = background.initial_state(SEED)
        return [background.step(state, Cue()) for _ in range(frames)]
