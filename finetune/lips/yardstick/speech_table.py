"""Synthetic speech of voices never heard: closures, shape and time against what phones ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.agreement import lag_ms
from visavis.finetune.lips.yardstick.clips import frame_times
from visavis.finetune.lips.yardstick.closures import Closures, closures, total
from visavis.finetune.lips.yardstick.listener import Shown
from visavis.finetune.lips.yardstick.loudness import loudness
from visavis.finetune.lips.yardstick.sampling import Sampling, correlations
from visavis.finetune.lips.yardstick.talks import Talk
from visavis.finetune.lips.yardstick.toys import TOYS, Scene
from visavis.finetune.speech.gestures import gestures

__all__ = ["Spoken", "mean_of", "measure_talk", "speech_table", "speech_toys", "wanted"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_SPAN = 6
_APERTURE, _WIDTH, _PROTRUSION, _SPEECH = 0, 2, 3, 8


@dataclass(frozen=True, slots=True)
class Spoken:
    """Figures of a stretch of speech, or of several.

    Attributes:
        counts: of closures.
        r, width, protrusion: against the gestures of the phones.
        lag: behind these, ms; their opening itself leads the sound by about 35 ms.
        amplitude: deviation of the opening over that of the gestures.
        gate: share of the frames of speech in which the gate is more than half open.
    """

    counts: Closures
    r: float
    width: float
    protrusion: float
    lag: float
    amplitude: float
    gate: float


def _r(a: F64, b: F64) -> float:
    sampling = Sampling([[len(a)]], 0)
    return float(correlations(sampling, [[a]], [[b]])[0, 0])


def wanted(talk: Talk) -> F64:
    """What the phones of a talk ask for, float64[K, 9], the channels of the tract."""
    return np.asarray(gestures(talk.phones, frame_times(talk.frames)), np.float64)


def measure_talk(talk: Talk, shown: Shown) -> Spoken:
    """Compare what is shown with what the phones ask for."""
    want = wanted(talk)
    gap = shown.mouth.opening
    speech = want[:, _SPEECH] > 0.5
    sampling = Sampling([[len(gap)]], 0)
    curve = correlations(sampling, [[gap]], [[want[:, _APERTURE]]], _SPAN)
    return Spoken(
        counts=closures(gap, talk.phones),
        r=_r(gap, want[:, _APERTURE]),
        width=_r(shown.mouth.width, want[:, _WIDTH]),
        protrusion=_r(shown.mouth.protrusion, want[:, _PROTRUSION]),
        lag=float(lag_ms(curve)[0]),
        amplitude=float(gap[speech].std() / max(float(want[speech, _APERTURE].std()), 1e-9)),
        gate=float((shown.gate[speech] > 0.5).mean()),
    )


def mean_of(many: Sequence[Spoken]) -> Spoken:
    """Counts are added, figures averaged."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in many]))

    names = ("r", "width", "protrusion", "amplitude", "gate")
    lag = float(np.median([one.lag for one in many]))
    return Spoken(total(o.counts for o in many), lag=lag, **{n: mean(n) for n in names})


def _json(one: Spoken) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "closures": one.counts.recall,
        "closures_said": one.counts.wanted,
        "false_closures": one.counts.false_share,
        "open_frames": one.counts.open_frames,
        "r": one.r,
        "r_width": one.width,
        "r_protrusion": one.protrusion,
        "lag_ms": one.lag,
        "amplitude": one.amplitude,
        "gate_open": one.gate,
    }
    return {
        k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in figures.items()
    }


def speech_table(
    talks: Sequence[Talk],
    measured: Mapping[str, Sequence[Spoken]],
    against: Mapping[str, Spoken | None],
) -> dict[str, Any]:
    """For JSON: by voice and by language, in every condition; null where not defined.

    Args:
        talks: who spoke; measured: by condition, one for each talk; against: other lips, on all.
    """
    table: dict[str, Any] = {"voices": {}, "languages": {}, "all": {}, "against": {}}
    for condition, every in measured.items():
        for part, key in (("voices", "group"), ("languages", "language")):
            names = sorted({str(getattr(talk, key)) for talk in talks})
            for name in names:
                own = [o for t, o in zip(talks, every, strict=True) if getattr(t, key) == name]
                table[part].setdefault(name, {})[condition] = _json(mean_of(own))
        table["all"][condition] = _json(mean_of(every))
        other = against.get(condition)
        table["against"][condition] = None if other is None else _json(other)
    return table


def speech_toys(talks: Sequence[Talk], shown: Sequence[Shown]) -> dict[str, dict[str, float]]:
    """Closures and the gate of every toy, by its name and the keys of targets."""
    scenes = []
    targets = [wanted(talk)[:, _APERTURE] for talk in talks]
    for index, (talk, one) in enumerate(zip(talks, shown, strict=True)):
        scenes.append(
            Scene(
                shown=one.mouth.opening,
                real=targets[index],
                others=[targets[(index + 1) % len(talks)]] if len(talks) > 1 else [],
                loud=loudness(talk.sound, talk.frames),
                gate=one.gate.astype(np.float64),
            )
        )
    table = {}
    for toy in TOYS:
        counts = total(
            closures(toy.opening(s), t.phones) for s, t in zip(scenes, talks, strict=True)
        )
        gate = [
            float((toy.gate(s)[wanted(t)[:, _SPEECH] > 0.5] > 0.5).mean())
            for s, t in zip(scenes, talks, strict=True)
        ]
        table[toy.name] = {
            "closures": counts.recall or 0.0,
            "false_closures": counts.false_share or 0.0,
            "gate_in_speech": float(np.mean(gate)),
        }
    return table
