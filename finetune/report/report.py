"""The report of a trained person: everything measured once, as figures and as pictures."""

from __future__ import annotations

import logging
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import visavis
from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person
from visavis.finetune.lips.yardstick.clips import FPS
from visavis.finetune.report.footage import Footage, placed, stretches
from visavis.finetune.report.gallery import Strip, blind_test, face_sheet, mouth_strips
from visavis.finetune.report.idle import WITHIN, blinking, jitter, jumps, places, repeats
from visavis.finetune.report.loop import Loop, close_loop
from visavis.finetune.report.octaves import NAMES
from visavis.finetune.report.rows import BASELINE, TRACKED, VOICE, Scene, rows
from visavis.finetune.report.scores import Detail, Scores
from visavis.finetune.report.still import flicker_figures
from visavis.finetune.report.studio import SEED, Studio
from visavis.finetune.report.targets import verdicts
from visavis.finetune.report.voice import voice_figures

__all__ = ["SCHEMA", "Curve", "Report", "report"]

logger = logging.getLogger(__name__)

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SCHEMA = "visavis-person-report/1"
LOOKAHEAD_MS = 120
IDLE_FRAMES = 3000  # two minutes
MOST_FILMED = 500  # frames that are tracked again as they were filmed
LEAST_STILL = 12  # frames, half a second, from which on flicker is judged
DRAWS = 1000
_PACKAGES = ("numpy", "scipy", "numba", "onnxruntime", "onnxruntime-gpu", "torch", "av")


@dataclass(frozen=True, slots=True)
class Curve:
    """Openings in IOD through a stretch, by what they are; first_s is when it begins."""

    first_s: float
    series: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured.

    Attributes:
        document: for JSON, without NaN.
        figures: by the keys of `targets.TARGETS`; None where not measured.
        faces: the contact sheet; mouths: strips; curves: of the judged stretches.
        fitted: frames with the mesh of the user's face model; None where there is none.
    """

    document: Mapping[str, Any]
    figures: Mapping[str, float | None]
    faces: Strip
    mouths: Sequence[Strip]
    curves: Sequence[Curve]
    fitted: Strip | None = None


def report(
    person: Person,
    clip: Footage,
    *,
    held_out: Sequence[int] | I64,
    training: Sequence[int] | I64,
    tracker: Path | None = None,
    seen: bool | None = None,
    notes: Mapping[str, Any] | None = None,
    fitted: Strip | None = None,
    blind: Path | None = None,
    draws: int = DRAWS,
) -> Report:
    """Measure a person against footage of the same person.

    Args:
        person: the finished person file, as an engine loads it.
        clip: tracked, see `footage.footage_of` and `footage.from_geometry`.
        held_out: frames of the clip that are judged.
        training: frames that the appearance model learns from; none of them is judged.
        tracker: Python with MediaPipe; without one the closed loop is not measured.
        seen: whether the renderer learned from the judged frames; None where nobody knows.
        notes: what the training recorded, kept as it is: "seconds", by step, and "peak_mib", memory
            that was resident at most, make a table; other entries are listed.
        fitted: see `Report`.
        blind: folder for the blind test, see `blind.write_blind`.
        draws: of the block bootstrap.

    Raises:
        PersonFileError: the person does not run, or clip and person do not fit together.
        EngineError: the engine does not run.
    """
    held, learned = np.unique(np.asarray(held_out, np.int64)), np.asarray(training, np.int64)
    if not len(held) or held[0] < 0 or held[-1] >= len(clip):
        raise PersonFileError(f"There is nothing to judge in the {len(clip)} frames of the clip.")
    if np.isin(learned, held).any():
        raise PersonFileError("Frames that are judged must not teach the baseline.")
    lookahead = LOOKAHEAD_MS if LOOKAHEAD_MS in person.lookaheads_ms else person.lookahead_ms
    with tempfile.TemporaryDirectory(prefix="visavis-report-") as folder:
        began = time.monotonic()
        studio = Studio(person, lookahead)
        scene = _film(studio, clip, held, learned, Path(folder))
        logger.info("%d frames made, %.0f s", 2 * len(held), time.monotonic() - began)
        measured = _Measured(studio, scene, tracker, draws)
        logger.info("measured, %.0f s", time.monotonic() - began)
        document = {
            "schema": SCHEMA,
            "person": {
                "name": person.name,
                "display_name": person.display_name,
                "id": person.id,
                "system": person.system,
                "width": person.width,
                "height": person.height,
            },
            "settings": {
                "lookahead_ms": lookahead,
                "variants": dict(sorted(studio.variants.items())),
                "frames": len(clip),
                "held_out": [[int(p[0]), int(p[-1]) + 1] for p in stretches(held)],
                "training_frames": len(learned),
                "seen": seen,
                "seed": SEED,
                "draws": draws,
            },
            "versions": _versions(),
            **measured.document,
            "targets": verdicts(measured.figures),
            "consent": person.manifest["consent"],
            "licence": person.manifest["licence"],
            "made_by": person.manifest["made_by"],
            "notes": dict(notes or {}),
        }
        if blind is not None:
            key = blind_test(scene, blind)
            document["blind"] = {name: item for name, item in key.items() if name != "pairs"}
            document["blind"]["pairs"] = len(key["pairs"])
        document["took_s"] = round(time.monotonic() - began, 1)
        return Report(
            document=_plain(document),
            figures=measured.figures,
            faces=face_sheet(scene),
            mouths=mouth_strips(scene),
            curves=measured.curves,
            fitted=fitted,
        )


def _film(studio: Studio, clip: Footage, held: I64, learned: I64, folder: Path) -> Scene:
    """Make all pictures; they are mapped from files, so that a long clip needs no memory."""
    shape = (len(held), *clip.frames.shape[1:])
    tracked, voice = (
        np.memmap(folder / name, np.uint8, "w+", shape=shape) for name in ("tracked", "voice")
    )
    for row, i in enumerate(held.tolist()):
        tracked[row] = studio.tracked(clip.frames[i], clip.pose[i], clip.coefficients[i])
    spoken = studio.speak(clip.sound, held, voice)
    return Scene(clip, held, learned, tracked, voice, spoken)


class _Measured:
    """All figures of a scene, as a document and by the keys of targets."""

    def __init__(self, studio: Studio, scene: Scene, tracker: Path | None, draws: int) -> None:
        clip, held = scene.clip, scene.held_out
        table = rows(studio, scene)
        flickers = flicker_figures(studio, scene)
        asked = studio.asked(clip.coefficients[held]).opening
        spoken = studio.asked(scene.spoken.coefficients)
        loop = close_loop(scene.tracked, asked, tracker)
        voice_loop = close_loop(scene.voice, spoken.opening[held], tracker)
        few = held[:MOST_FILMED]
        filmed = close_loop(clip.frames[few], asked[: len(few)], tracker)
        choices = studio.idle(IDLE_FRAMES)
        path = places(np.stack([choice.pose for choice in choices]))
        again = repeats(path)
        own = studio.person.stage_parts("background")
        trembles = jitter(path, places(np.asarray(own["pose"])))
        self.document: dict[str, Any] = {
            "octaves": list(NAMES),
            "picture": [{"name": name, **_scores(s)} for name, s in table.items()],
            "flicker": flickers,
            "loop": {
                "tracked": loop.figures,
                "voice": voice_loop.figures,
                "filmed": filmed.figures,
                "why": loop.why or voice_loop.why,
            },
            "voice": voice_figures(spoken, clip.mouth, stretches(held), draws),
            "idle": {
                "seconds": IDLE_FRAMES / FPS,
                "jumps": jumps(choices),
                **asdict(again),
                "jitter": trembles,
                "blinking": asdict(blinking(choices, np.asarray(own["blinks"]))),
            },
        }
        self.curves = _curves(scene, spoken.opening, loop)
        self.document["curves"] = [
            {"first_s": c.first_s, "period_s": 1 / FPS, "series": c.series} for c in self.curves
        ]
        ours, live = table[TRACKED], table[VOICE]
        base = table.get(BASELINE)
        energy, coherence = _three(ours.mouth.energy), _three(ours.mouth.coherence)
        voice = _three(live.mouth.energy)
        near = [_over(a, b) for a, b in zip(voice, energy, strict=True)]
        figures = loop.figures or {}
        self.figures: dict[str, float | None] = {
            "ssim": ours.ssim,
            "over_baseline": _over(energy[0], _three(base.mouth.energy if base else None)[0]),
            **{f"energy_{name}": v for name, v in zip(NAMES, energy, strict=True)},
            "coherence": coherence[0],
            **{f"voice_{name}": v for name, v in zip(NAMES, near, strict=True)},
            "ring": ours.ring,
            "flicker_silence": _judged(flickers["silence"]),
            "flicker_vowels": _judged(flickers["vowels"]),
            "loop_r": figures.get("r"),
            "loop_gain": figures.get("gain"),
            # Nothing that comes again within a minute is as good as a minute.
            "idle_repeat_s": WITHIN / FPS if again.soonest_s is None else again.soonest_s,
            "idle_jitter": trembles,
        }


def _three(values: F64 | None) -> list[float | None]:
    return [None] * len(NAMES) if values is None else [float(v) for v in values]


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _judged(flicker: Mapping[str, Any]) -> float | None:
    """What is said of too few frames is shown and not judged."""
    ratio: float | None = flicker["tracked"]
    return ratio if flicker["frames"] >= LEAST_STILL else None


def _scores(s: Scores) -> dict[str, Any]:
    def both(d: Detail) -> dict[str, Any]:
        return {"energy": _three(d.energy), "coherence": _three(d.coherence)}

    return {
        "psnr": s.psnr,
        "ssim": s.ssim,
        "mouth": both(s.mouth),
        "teeth": both(s.teeth),
        "ring": s.ring,
    }


def _curves(scene: Scene, spoken: F64, loop: Loop) -> list[Curve]:
    out = []
    for start, piece in placed(scene.held_out):
        part = slice(start, start + len(piece))
        if len(piece) < 2:
            continue
        series = {"filmed": scene.clip.mouth.opening[piece], "voice-driven": spoken[piece]}
        if loop.opening is not None:
            series["tracked-driven, tracked again"] = loop.opening[part]
        out.append(
            Curve(
                float(piece[0]) / FPS,
                {name: [round(float(v), 4) for v in values] for name, values in series.items()},
            )
        )
    return out


def _versions() -> dict[str, str]:
    found = {"visavis": visavis.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    """The same for JSON: no arrays, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
