"""From a video to a person: every step of `visavis finetune`, in order.

Each step leaves what it made in the `Workplace` and is not done again when it is there; so a run
that was interrupted goes on where it was, and loses half a minute at most.
"""

from __future__ import annotations

import datetime
import json
import logging
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis import __version__
from visavis.engines.errors import ConfigError, PersonFileError
from visavis.engines.person import Person, peek_person, read_person
from visavis.export.face_model_file import FaceModelFile
from visavis.export.native import load_renderer, person_bytes
from visavis.finetune.appearance.learn import learn_appearance
from visavis.finetune.appearance.model import Appearance
from visavis.finetune.appearance.store import load_appearance, save_appearance
from visavis.finetune.check import format_findings, measure_sync, sync_finding
from visavis.finetune.geometry import Geometry, fit_geometry
from visavis.finetune.ingest import Ingested
from visavis.finetune.lips.fit import Measured
from visavis.finetune.lips.yardstick.listener import PersonLips
from visavis.finetune.matting.folder import write_look
from visavis.finetune.morphable.person import FOLDER, fitted_geometry, marked, noted
from visavis.finetune.parts import ANCHOR, PictureParts, picture_parts
from visavis.finetune.person import load_geometry, measured_of, save_geometry, write_folder
from visavis.finetune.record import Record
from visavis.finetune.renderer.dataset import Examples, calibration
from visavis.finetune.renderer.generic import generic_renderer
from visavis.finetune.renderer.train import Plan, Progress, held_out_path, train
from visavis.finetune.report.fitted import read_strip
from visavis.finetune.report.footage import from_geometry
from visavis.finetune.report.report import report
from visavis.finetune.report.writing import write_report
from visavis.finetune.schedule import ALONE, schedule
from visavis.finetune.selection import held_out, learnt, shown
from visavis.finetune.speaking_lips import SpeakingLips, spoken
from visavis.finetune.texture import visible_triangles
from visavis.finetune.tracking import track_clip
from visavis.finetune.workplace import Workplace, write_json
from visavis.models.renderer import Renderer

__all__ = ["Outcome", "finetune"]

logger = logging.getLogger(__name__)

F32 = NDArray[np.float32]
Say = Callable[[str], None]
FitLips = Callable[[Measured, F32, Sequence[float]], SpeakingLips]

TRIAL_STEPS = 8
RESERVED_S = 60.0  # of the time, for what follows the training
LEAST_TRAINING_S = 10.0
VOICE = "voice.npz"
START = "start.pt"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out.

    Attributes:
        person: the file, and its size in bytes.
        steps: of the training.
    """

    person: Path
    size: int
    steps: int


def finetune(
    place: Workplace,
    clip: Ingested,
    *,
    tracker: Path | None,
    base: Person,
    fit_lips: FitLips,
    consent: Mapping[str, Any],
    licence: str,
    notices: str,
    face_model: FaceModelFile | None = None,
    matte: bool = True,
    prepare: bool = False,
    say: Say,
    tell: Callable[[Progress], None],
) -> Outcome | None:
    """Make a person of a clip that was checked and taken in.

    Args:
        place: where everything goes.
        clip: the video.
        tracker: see `track.track_faces`; None where the face was tracked before, and then the
            report has no closed loop.
        base: whose lips tell whether the sound keeps step.
        fit_lips: makes the motion stage of what was measured, the sound and the cuts in seconds.
        consent, licence, notices: as in person.json.
        face_model: the user's, that shape and poses are fitted with; None: the tracker's mesh.
        matte: make one, for other backgrounds, where the camera stood still.
        prepare: end before the training; None is returned.
        say: called with a sentence before each step.
        tell: called after each step of the training.

    Raises:
        PersonFileError: the clip cannot be used; the message says why.
        ConfigError: there is no room, or no tracker.
    """
    wanted = place.settings.held_out
    if wanted is not None and wanted[1] > len(clip.frames):
        raise ConfigError(
            f"The clip has {len(clip.frames)} frames; {wanted[0]}:{wanted[1]} is not in it."
        )
    work = _Work(place, clip, say)
    geometry = work.geometry(tracker, face_model)
    try:
        before = shown(geometry, clip.cuts)
    except ValueError as error:
        raise PersonFileError(f"The clip cannot be shown: {error}") from error
    work.sync(geometry, base)
    chosen = learnt(geometry, clip.stretches)
    judged = held_out(geometry, clip.cuts) if wanted is None else np.arange(*wanted)
    seen = np.flatnonzero(~np.isin(chosen, judged))
    geometry, appearance = work.appearance(geometry, chosen[seen])
    parts = work.parts(geometry, appearance, chosen[seen])
    voice = work.lips(geometry, fit_lips)
    if prepare:
        return None
    examples = Examples(
        clip.frames[chosen],
        geometry.of(chosen),
        parts,
        voice=voice[chosen],
        whole=geometry,
    )
    renderer, plan, alarm = work.renderer(examples, seen, tell)
    about: dict[str, Any] = {
        "name": place.settings.name,
        "display_name": place.settings.display_name,
        "consent": dict(consent),
        "licence": licence,
        "made_by": work.made_by(plan, judged),
    }
    if face_model is not None:
        about, notices = marked(about, notices, face_model)
    work.write(geometry, parts, examples, before, renderer, about=about, notices=notices)
    work.look(geometry, before, tracker, matte)
    metrics = work.judge(geometry, judged, chosen[seen], tracker, alarm)
    size = work.export({**about, "made_by": {**about["made_by"], "metrics": metrics}})
    return Outcome(place.person_file, size, plan.steps)


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1)


class _Work:
    """The steps, with the time that each took."""

    def __init__(self, place: Workplace, clip: Ingested, say: Say) -> None:
        self._place = place
        self._clip = clip
        self._say = say
        self._began = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def _step(self, name: str, sentence: str) -> Iterator[None]:
        """Say what is done, and note how long it took."""
        self._say(sentence)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    def geometry(self, tracker: Path | None, face_model: FaceModelFile | None) -> Geometry:
        """Where head and mouth are in every frame."""
        path = self._place.root / "geometry.npz"
        if path.exists():
            return load_geometry(path)
        if tracker is None:
            raise ConfigError("There is no face tracker, and the face was not tracked before.")
        with self._step("track", f"Tracking the face through {len(self._clip.frames)} frames."):
            track = track_clip(self._clip.frames, tracker, self._place.root / "track")
            if face_model is None:
                geometry = fit_geometry(track, cuts=self._clip.cuts)
        if face_model is not None:
            with self._step("face_model", f"Fitting the face model: {face_model.kind}."):
                geometry = fitted_geometry(self._place, self._clip, track, face_model, self._say)
        save_geometry(geometry, path)
        return geometry

    def sync(self, geometry: Geometry, base: Person) -> None:
        """Say where the sound is out of step."""
        with self._step("sync", "Comparing lips and sound."):
            lips = PersonLips(base, max(base.lookaheads_ms))
            finding = sync_finding(measure_sync(geometry.aperture, self._clip.sound, lips))
            if finding is not None:
                self._say(format_findings([finding]))

    def appearance(
        self, geometry: Geometry, taught: NDArray[np.int64]
    ) -> tuple[Geometry, Appearance]:
        """How the mouth looks, and with that where it is in every frame."""
        folder = self._place.root / "appearance"
        if not folder.exists():
            with (
                self._step("appearance", "Learning how the mouth looks."),
                self._place.new_folder("appearance") as partial,
            ):
                triangles = visible_triangles(geometry)
                size = self._place.settings.crop
                made = learn_appearance(
                    self._clip.frames, geometry, triangles, taught, ANCHOR, size
                )
                save_geometry(made.geometry, partial / "geometry.npz")
                save_appearance(made.appearance, partial / "appearance.npz")
                write_json(partial / "about.json", {"levels": made.levels})
        return load_geometry(folder / "geometry.npz"), load_appearance(folder / "appearance.npz")

    def parts(
        self, geometry: Geometry, appearance: Appearance, taught: NDArray[np.int64]
    ) -> PictureParts:
        """Texture, teeth and mask."""
        with self._step("parts", "Collecting skin and teeth."):
            parts = picture_parts(self._clip.frames, geometry, appearance, taught)
        return parts

    def lips(self, geometry: Geometry, fit_lips: FitLips) -> F32:
        """Write the motion stage; the coefficients f32[N, C] that the clip's sound asks for."""
        folder = self._place.root / "lips"
        if folder.exists():
            with np.load(folder / VOICE, allow_pickle=False) as arrays:
                return np.asarray(arrays["coefficients"], np.float32)
        with self._step("lips", "Fitting the lips to the voice."):
            clip = self._clip
            try:
                lips = fit_lips(
                    measured_of(geometry), clip.sound, [cut / 25.0 for cut in clip.cuts]
                )
            except ValueError as error:
                raise PersonFileError(str(error)) from error
            with self._place.new_folder("lips") as partial:
                lips.write(partial)
                coefficients = spoken(lips, clip.sound, len(clip.frames), clip.cuts)
                np.savez(partial / VOICE, coefficients=coefficients)
                write_json(partial / "about.json", lips.about)
        return coefficients

    def renderer(
        self, examples: Examples, seen: NDArray[np.int64], tell: Callable[[Progress], None]
    ) -> tuple[Renderer, Plan, str | None]:
        """Train, for the time that is left."""
        settings = self._place.settings
        folder = self._place.root / "renderer"
        begun = folder / START
        start = load_renderer(begun) if begun.exists() else generic_renderer()
        plan = self._plan(examples, start, alone=0.0 if begun.exists() else ALONE)
        with self._step(
            "renderer",
            f"Training the renderer: {plan.steps} steps"
            + (", the later ones against an adversary." if settings.adversarial else "."),
        ):
            alarms: list[str | None] = [None]

            def watch(progress: Progress) -> None:
                alarms[0] = progress.alarm
                tell(progress)

            renderer = train(
                examples,
                folder,
                plan,
                frames=seen,
                start=start,
                device=settings.device,
                tell=watch,
            )
        return renderer, plan, alarms[0]

    def _plan(self, examples: Examples, start: Renderer, *, alone: float) -> Plan:
        """The plan that was made before, or one for the time that is left; see `schedule`."""
        path = self._place.root / "renderer" / "plan.json"
        if path.exists():
            return Plan(**json.loads(path.read_text("utf-8")))
        settings = self._place.settings
        spent = time.monotonic() - self._began
        left = max(LEAST_TRAINING_S, 60.0 * settings.minutes - spent - RESERVED_S)
        plan = schedule(
            left,
            step_seconds=self._trial(examples, start, adversarial=False),
            adversarial_step_seconds=(
                self._trial(examples, start, adversarial=True) if settings.adversarial else None
            ),
            seed=settings.seed,
            alone=alone,
        )
        path.parent.mkdir(exist_ok=True)
        write_json(path, asdict(plan))
        return plan

    def _trial(self, examples: Examples, start: Renderer, *, adversarial: bool) -> float:
        """How long a step takes, in seconds."""
        plan = Plan(TRIAL_STEPS, adversarial_from=0 if adversarial else None)
        ends: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            train(
                examples,
                Path(folder),
                plan,
                start=start,
                device=self._place.settings.device,
                tell=lambda progress: ends.append(time.monotonic()),
            )
        return float(np.median(np.diff(ends)))

    def made_by(self, plan: Plan, judged: NDArray[np.int64]) -> dict[str, Any]:
        """What the person file says of its making."""
        settings = self._place.settings
        own = ("name", "display_name", "seed", "held_out", "face_model")
        return {
            "tool": "visavis finetune",
            "version": __version__,
            "clip_sha256": self._clip.sha256,
            "clip_frames": len(self._clip.frames),
            "settings": {
                **{name: value for name, value in asdict(settings).items() if name not in own},
                "steps": plan.steps,
                "adversarial_from": plan.adversarial_from,
                "held_out": [int(judged[0]), int(judged[-1]) + 1],
            },
            "seed": settings.seed,
            "made_on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }

    def write(
        self,
        geometry: Geometry,
        parts: PictureParts,
        examples: Examples,
        before: slice,
        renderer: Renderer,
        *,
        about: Mapping[str, Any],
        notices: str,
    ) -> None:
        """Write the folder that is exported."""
        with (
            self._step("write", "Putting the person together."),
            self._place.new_folder("person") as partial,
        ):
            write_folder(
                partial,
                self._clip.frames[before],
                geometry.of(before),
                parts,
                calibration(examples),
                renderer,
                about=about,
                notices=notices,
            )
            shutil.copytree(self._place.root / "lips", partial / "motion")

    def look(self, geometry: Geometry, before: slice, tracker: Path | None, matte: bool) -> None:
        """What other backgrounds and framings need."""
        with self._step("look", "Telling the person from the background."):
            write_look(
                self._place.root / "person",
                self._clip.frames[before],
                geometry.of(before),
                tracker,
                matte=matte,
                say=self._say,
            )

    def judge(
        self,
        geometry: Geometry,
        judged: NDArray[np.int64],
        taught: NDArray[np.int64],
        tracker: Path | None,
        alarm: str | None,
    ) -> dict[str, float]:
        """Write the report, of the renderer as it was before it saw the judged frames.

        Returns:
            the figures of it that are known.
        """
        with self._step("report", "Measuring on what was held out."):
            root = self._place.root
            earlier = held_out_path(root / "renderer")
            # Only looked at, and gone again: what is kept is compared with the training.
            person = read_person(person_bytes(root / "person", renderer=earlier, compared=False))
            lips, looks = (
                json.loads((root / step / "about.json").read_text("utf-8"))
                for step in ("lips", "appearance")
            )
            measured = report(
                person,
                from_geometry(person, self._clip.frames, geometry, self._clip.sound),
                held_out=judged,
                training=taught,
                tracker=tracker,
                seen=earlier is None,
                notes={
                    "seconds": self.seconds,
                    "peak_mib": _peak_mib(),
                    "alarm": alarm or "none",
                    "lips": lips,
                    "appearance": looks,
                    **noted(root),
                },
                fitted=read_strip(root / FOLDER) if (root / FOLDER).exists() else None,
            )
            write_report(measured, root)
        return {
            name: round(value, 4) for name, value in measured.figures.items() if value is not None
        }

    def export(self, about: Mapping[str, Any]) -> int:
        """Write the person file; its size in bytes."""
        with self._step("export", "Writing the person file."):
            place = self._place
            write_json(place.root / "person" / "about.json", about)
            temporary = place.person_file.with_suffix(".partial")
            temporary.write_bytes(person_bytes(place.root / "person"))
            size = temporary.stat().st_size
            identifier, _ = peek_person(temporary)
            Record.read(place.root.resolve()).add_made(place.person_file, identifier)
            temporary.replace(place.person_file)
        return size
