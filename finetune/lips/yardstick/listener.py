"""The one place that knows how lips are made to move: sound in, a shown mouth out.

`lips_of` takes a person file, the name of a built-in person, a checkpoint of the network (`.pt`),
or what an earlier run kept (`.npz`), so that lips can be compared whose format is gone.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Feeds, Graph
from visavis.engines.errors import ConfigError, EngineError, UnknownLookahead
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.finetune.lips.yardstick.mouth import Mouth, mouth_of

__all__ = ["Film", "Kept", "Lips", "NetworkLips", "PersonLips", "Recorder", "Shown", "lips_of"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

TICK = 640
_APERTURE = 0
_MOUTH = (0, 2, 3)  # channels: aperture, width, protrusion
_USUAL_MS = 120
_BATCH = 16
_AT_ONCE = 1000  # meshes


@dataclass(frozen=True, slots=True)
class Shown:
    """What a face shows of a sound, K frames.

    Attributes:
        mouth: as it is commanded, in IOD.
        tract: float32[K], the gap that the network's newest word on the frame wants, before gate
            and person.
        gate: float32[K], how far the gate is open, 0 to 1.
    """

    mouth: Mouth
    tract: F32
    gate: F32


@dataclass(frozen=True, slots=True)
class Film:
    """A person speaking, K frames.

    Attributes:
        pictures: uint8[K, H*3/2, W], I420.
        poses: float32[K, 3, 4], head space to pixels of the frame.
        shown: what was commanded.
    """

    pictures: U8
    poses: F32
    shown: Shown


class Lips(Protocol):
    """Something that moves a mouth to sound."""

    name: str
    lookahead_ms: int

    def show(self, sounds: Sequence[F32]) -> list[Shown]:
        """Each sound float32[640 K + r] in a session of its own; silence follows it."""


class _Tap:
    """A backend that also keeps what one network says."""

    def __init__(self, model: bytes) -> None:
        self._inner = OnnxCpuBackend()
        self._model = model
        self.last: Mapping[str, NDArray[np.generic]] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    def load(self, name: str, model: bytes) -> Graph:
        graph = self._inner.load(name, model)
        return _Tapped(self, graph) if model is self._model else graph


class _Tapped:
    def __init__(self, tap: _Tap, graph: Graph) -> None:
        self._tap, self._graph = tap, graph

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        outputs = self._graph.run(feeds)
        self._tap.last = outputs
        return outputs


class PersonLips:
    """A person, through the same stages as a session.

    Args:
        person: whose lips.
        lookahead_ms: None for the person's own.

    Raises:
        UnknownLookahead: the person does not offer it.
        PersonFileError: the person does not run.
    """

    def __init__(self, person: Person, lookahead_ms: int | None = None) -> None:
        if lookahead_ms is None:
            lookahead_ms = person.lookahead_ms
        elif lookahead_ms not in person.lookaheads_ms:
            raise UnknownLookahead(person.name, lookahead_ms, person.lookaheads_ms)
        self.name, self.lookahead_ms = person.name, lookahead_ms
        self._head = person.lookaheads_ms.index(lookahead_ms)
        self.person = person
        graph = person.graphs[person.stages["motion"].params["graph"]]
        self._tap = _Tap(person.parts[graph.variants["fp32"]])
        self._pipeline = Pipeline(person, backend=self._tap, variant="fp32")
        parts = person.stage_parts("geometry")
        self._mean = np.asarray(parts["mean"], np.float64)
        self._basis = np.asarray(parts["basis"], np.float64)

    def mouth(self, coefficients: F32) -> Mouth:
        """The mouth that coefficients float32[K, C] ask for."""
        parts = [
            mouth_of(self._mean + np.einsum("kc,cvd->kvd", some, self._basis))
            for some in np.array_split(coefficients, len(coefficients) // _AT_ONCE + 1)
        ]
        return Mouth(
            np.concatenate([m.opening for m in parts]),
            np.concatenate([m.width for m in parts]),
            np.concatenate([m.protrusion for m in parts]),
        )

    def show(self, sounds: Sequence[F32]) -> list[Shown]:
        """See `Lips.show`."""
        shown: list[Shown] = []
        for start in range(0, len(sounds), _BATCH):
            shown += self._batch(sounds[start : start + _BATCH])
        return shown

    def film(self, sound: F32, seed: int = 0) -> Film:
        """Show one sound float32[640 K], with pictures; `seed` is that of the idle movement."""
        frames: list[tuple[U8, F32]] = []
        shown = self._batch([sound], frames, seed)
        pictures, poses = (np.stack(some) for some in zip(*frames, strict=True))
        return Film(pictures, poses, shown[0])

    def _batch(
        self, sounds: Sequence[F32], film: list[tuple[U8, F32]] | None = None, seed: int = 0
    ) -> list[Shown]:
        ahead = self.lookahead_ms * 16
        frames = [len(sound) // TICK for sound in sounds]
        states = [self._pipeline.initial_state(seed, self.lookahead_ms) for _ in sounds]
        padded = [
            np.concatenate((s[: k * TICK], np.zeros(ahead, np.float32)))
            for s, k in zip(sounds, frames, strict=True)
        ]
        coefficients: list[list[F32]] = [[] for _ in sounds]
        gates: list[list[float]] = [[] for _ in sounds]
        tracts: list[list[float]] = [[] for _ in sounds]
        for tick in range(max(frames, default=0)):
            live = [i for i, k in enumerate(frames) if tick < k]
            begin = 0 if tick == 0 else ahead + (tick - 1) * TICK
            end = ahead + tick * TICK
            work = [Work(states[i], padded[i][begin:end], film is not None) for i in live]
            self._pipeline.advance(work)
            for row, (i, item) in enumerate(zip(live, work, strict=True)):
                if item.error is not None or item.coefficients is None:
                    raise EngineError(f"{self.name} does not run: {item.error}.") from item.error
                coefficients[i].append(item.coefficients)
                gates[i].append(item.speech)
                tracts[i].append(self._wanted(row))
                if film is not None and item.i420 is not None:
                    film.append((item.i420, np.asarray(item.choice.pose, np.float32)))
        return [
            Shown(self.mouth(np.stack(c)), np.asarray(t, np.float32), np.asarray(g, np.float32))
            for c, t, g in zip(coefficients, tracts, gates, strict=True)
        ]

    def _wanted(self, row: int) -> float:
        tract = np.asarray(self._tap.last["tract"], np.float32)[row, self._head]
        return float(tract[:, _APERTURE].mean())


class NetworkLips:
    """A checkpoint on the plainest face: its coefficients are the moves themselves.

    Args:
        path: of the checkpoint.
        lookahead_ms: of the head that is shown.
        params: of the motion stage.

    Raises:
        UnknownLookahead: the network has no such head.
        ConfigError: it is no checkpoint of this network.
    """

    def __init__(self, path: Path, lookahead_ms: int | None, params: Mapping[str, Any]) -> None:
        from visavis.finetune.lips.train import load_motion

        try:
            self._motion = load_motion(path)
        except (OSError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            raise ConfigError(f"{path} is no checkpoint of this network: {error}.") from error
        self._heads = self._motion.config.lookaheads
        self.name = path.stem
        self.lookahead_ms = _USUAL_MS if lookahead_ms is None else lookahead_ms
        if self.lookahead_ms not in self._heads:
            raise UnknownLookahead(self.name, self.lookahead_ms, self._heads)
        self._params = dict(params)

    def show(self, sounds: Sequence[F32]) -> list[Shown]:
        """See `Lips.show`."""
        from visavis.finetune.lips.listen import frames_of, hear, live_tract

        shown = []
        for sound in sounds:
            ticks = hear(self._motion, sound)
            tract = frames_of(ticks, self.lookahead_ms, self._heads)
            moves, gate = live_tract(ticks, sound, self.lookahead_ms, self._params, self._heads)
            mouth = Mouth(*(moves[:, c].astype(np.float64) for c in _MOUTH))
            shown.append(Shown(mouth, np.asarray(tract[:, :, _APERTURE].mean(1)), gate))
        return shown


class Recorder:
    """Keeps what other lips show, to be compared with later ones; see `Kept`."""

    def __init__(self, lips: Lips) -> None:
        self._lips = lips
        self.name, self.lookahead_ms = lips.name, lips.lookahead_ms
        self._kept: dict[str, Any] = {}

    def show(self, sounds: Sequence[F32]) -> list[Shown]:
        """See `Lips.show`."""
        shown = self._lips.show(sounds)
        for sound, one in zip(sounds, shown, strict=True):
            m = one.mouth
            self._kept[_key(sound)] = np.stack(
                (m.opening, m.width, m.protrusion, one.tract, one.gate)
            ).astype(np.float32)
        return shown

    def save(self, path: Path) -> None:
        """Write an npz: arrays float32[5, K] by the hash of their sound."""
        arrays: dict[str, Any] = {"name": self.name, "lookahead_ms": self.lookahead_ms}
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays, **self._kept)


class Kept:
    """What `Recorder` wrote.

    Raises:
        ConfigError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path) as data:
                self._kept = {k: data[k] for k in data.files if len(k) == 64}
                self.name, self.lookahead_ms = str(data["name"]), int(data["lookahead_ms"])
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{path} is nothing that an evaluation kept: {error}.") from error

    def knows(self, sounds: Sequence[F32]) -> bool:
        """Whether all of these were heard then."""
        return all(_key(sound) in self._kept for sound in sounds)

    def show(self, sounds: Sequence[F32]) -> list[Shown]:
        """See `Lips.show`."""
        shown = []
        for sound in sounds:
            curves = self._kept.get(_key(sound))
            if curves is None:
                raise ConfigError(f"{self.name}: what is measured now was not measured then.")
            mouth = Mouth(*(curves[c].astype(np.float64) for c in range(3)))
            shown.append(Shown(mouth, curves[3], curves[4]))
        return shown


def _key(sound: F32) -> str:
    return hashlib.sha256(np.ascontiguousarray(sound, np.float32).tobytes()).hexdigest()


def lips_of(
    name: str,
    load: Callable[[str], Person],
    lookahead_ms: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> Lips:
    """Return the lips that a name stands for; see the module.

    Args:
        load: gives a person by file or name.
        params: of the motion stage, for a checkpoint.

    Raises:
        ConfigError, PersonFileError: there are none, or they do not run.
    """
    path = Path(name)
    if path.suffix == ".npz":
        return Kept(path)
    if path.suffix == ".pt":
        return NetworkLips(path, lookahead_ms, params or {})
    return PersonLips(load(name), lookahead_ms)
