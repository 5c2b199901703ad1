"""A person hears a voice and, beside it, silence: what the engine draws, what its networks give.

Both sessions begin alike, so they show the same frames of the footage; what differs between them is
what the voice did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Backend, Feeds, Graph
from visavis.engines.errors import VisavisError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.probe import probe_voice
from visavis.engines.references import Reference
from visavis.engines.timeline import TICK_SAMPLES
from visavis.export.imports.errors import ImportRefused
from visavis.export.torch_backend import Recorder

__all__ = ["Rehearsal", "ranges", "rehearse"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SEED = 0
TICKS = 50  # 2 s, that a voice of the user's is heard
SHOWN, FEWEST = 10, 3  # ticks that are drawn, one after another
FIRST = 14  # tick that may be drawn: by then the probe speaks
SLOW_S = 4.0  # a picture of both sessions; then fewer are drawn


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was seen and heard.

    Attributes:
        spoken, silent: uint8[K, H*3/2, W], frames of both sessions.
        spoken_crops, silent_crops: uint8[K, S, S], luma of their crops.
        loud: f32[K], of the voice while a frame is shown, rms.
        seconds: that a picture took, of both sessions together.
        graphs: what each network was fed and gave in the session that spoke, tick by tick.
    """

    spoken: U8
    silent: U8
    spoken_crops: U8
    silent_crops: U8
    loud: F32
    seconds: float
    graphs: dict[str, Reference]


class _Recording:
    """A backend whose networks keep what they are fed and give."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name
        self.recorders: dict[str, Recorder] = {}

    def load(self, name: str, model: bytes) -> Graph:
        """See `backend.Backend`."""
        self.recorders[name] = Recorder(_Named(self._backend.load(name, model)))
        return self.recorders[name]


class _Named:
    """A graph whose outputs are copies."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        return {name: np.array(array) for name, array in self._graph.run(feeds).items()}


def rehearse(
    person: Person, voice: F32 | None = None, clock: Callable[[], float] = time.monotonic
) -> Rehearsal:
    """Let a person hear a voice, and silence.

    Args:
        voice: f32[n], 16 kHz, of which the loudest two seconds are heard; our own babble where
            there is none.
        clock: seconds.

    Raises:
        ImportRefused: the person does not run.
    """
    backend = _Recording(OnnxCpuBackend())
    sounds = _sounds(voice, person.lookahead_ms)
    loud = _loudness(sounds, person.lookahead_ms)
    first = _loudest(loud)
    spoken: list[Work] = []
    silent: list[Work] = []
    seconds: list[float] = []
    try:
        pipeline = Pipeline(person, backend=backend, variant="fp32")
        for recorder in backend.recorders.values():
            recorder.fed.clear()
            recorder.given.clear()
        states = [pipeline.initial_state(SEED) for _ in range(2)]
        many = SHOWN
        for tick, pcm in enumerate(sounds):
            shown = first <= tick < first + many
            pair = [Work(states[0], pcm, shown), Work(states[1], np.zeros_like(pcm), shown)]
            start = clock()
            pipeline.advance(pair)
            for work in pair:
                if work.error is not None:
                    raise ImportRefused(f"The person does not run: {work.error}.") from work.error
            if shown:
                seconds.append(clock() - start)
                many = FEWEST if max(seconds) > SLOW_S else many
                spoken.append(pair[0])
                silent.append(pair[1])
    except VisavisError as error:
        if isinstance(error, ImportRefused):
            raise
        raise ImportRefused(str(error)) from error
    return Rehearsal(
        spoken=_pictures(spoken),
        silent=_pictures(silent),
        spoken_crops=_crops(spoken),
        silent_crops=_crops(silent),
        loud=loud[first : first + len(spoken)],
        seconds=float(np.median(seconds)),
        graphs={
            name: _seen(backend.recorders[spec.variants["fp32"]])
            for name, spec in person.graphs.items()
            if backend.recorders[spec.variants["fp32"]].fed
        },
    )


def ranges(
    person: Person, graphs: Mapping[str, Reference]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the least and the largest value of every output but states, by graph.

    Raises:
        ImportRefused: one is not finite.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for name, seen in graphs.items():
        found[name] = {}
        carried = {after for _, after in person.graphs[name].state}
        for key, array in seen.outputs.items():
            values = np.asarray(array, np.float32)
            if not np.isfinite(values).all():
                raise ImportRefused(
                    f"The network {name!r} gives values that are not finite ({key}) when it hears "
                    "a voice; its weights do not fit, or are damaged."
                )
            if key not in carried:
                found[name][key] = float(values.min()), float(values.max())
    return found


def _sounds(voice: F32 | None, lookahead_ms: int) -> list[F32]:
    if voice is None:
        return probe_voice(lookahead_ms, TICKS)
    ahead = lookahead_ms * 16
    wanted = ahead + (TICKS - 1) * TICK_SAMPLES
    padded = np.concatenate((voice, np.zeros(max(wanted - len(voice), 0), np.float32)))
    power = np.concatenate(([0.0], np.cumsum(padded.astype(np.float64) ** 2)))
    starts = np.arange(0, len(padded) - wanted + 1, TICK_SAMPLES)
    start = int(starts[np.argmax(power[starts + wanted] - power[starts])])
    heard = padded[start : start + wanted]
    return [
        np.ascontiguousarray(part) for part in np.split(heard, range(ahead, wanted, TICK_SAMPLES))
    ]


def _loudness(sounds: Sequence[F32], lookahead_ms: int) -> F32:
    """Return the rms of the sound while each tick's frame is shown."""
    heard = np.concatenate(sounds)
    rms = [
        np.sqrt(np.mean(heard[k * TICK_SAMPLES : (k + 1) * TICK_SAMPLES] ** 2))
        for k in range(len(sounds))
    ]
    return np.asarray(rms, np.float32)


def _loudest(loud: F32) -> int:
    sums = np.convolve(loud, np.ones(SHOWN), "valid")[FIRST:]
    return FIRST + int(sums.argmax())


def _pictures(items: Sequence[Work]) -> U8:
    return np.stack([item.i420 for item in items if item.i420 is not None])


def _crops(items: Sequence[Work]) -> U8:
    return np.stack([np.array(item.crop[0]) for item in items if item.crop is not None])


def _seen(recorder: Recorder) -> Reference:
    """Return the rows of the session that spoke: the first of every batch of both."""
    rows = [
        k
        for k, feeds in enumerate(recorder.fed)
        if all(len(array) == 2 for array in feeds.values())
    ]
    fed, given = [recorder.fed[k] for k in rows], [recorder.given[k] for k in rows]
    return Reference(
        {key: np.concatenate([one[key][:1] for one in fed]) for key in fed[0]},
        {key: np.concatenate([one[key][:1] for one in given]) for key in given[0]},
    )
