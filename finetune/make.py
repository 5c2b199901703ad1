"""`visavis finetune`: check the video, take it in, make the person, measure it."""

from __future__ import annotations

import datetime
import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from visavis.engines.consent import consent_of
from visavis.engines.errors import ConfigError
from visavis.engines.person import Person
from visavis.export.face_model_file import FaceModelFile, read_face_model
from visavis.export.file_hash import sha256_of
from visavis.export.restore import restore_motion
from visavis.finetune.check import Plan, check_video, format_findings
from visavis.finetune.environment import find_tracker
from visavis.finetune.ingest import ingest
from visavis.finetune.renderer.train import Progress
from visavis.finetune.run import FitLips, Outcome, finetune
from visavis.finetune.speaking_lips import lips_of_clip
from visavis.finetune.video import View
from visavis.finetune.workplace import Settings, Workplace, name_of, write_json

__all__ = ["CPU_MINUTES", "Request", "consent_record", "make"]

CPU_MINUTES = 15.0
UNSTATED = "not stated"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for.

    Attributes:
        video: of one person who speaks.
        out: folder for everything that is made.
        name: of the person; by default the folder's.
        device: ``auto``, ``cpu`` or ``cuda``.
        minutes: to spend.
        seed: of everything that is left to chance.
        resume: go on with `out`.
        consent: what the person agreed to, in words; None where that is not stated.
        licence: of the person.
        adversarial: whether to run the adversarial stage; None: on a GPU.
        sound_offset_ms: the sound is moved later by so much.
        held_out: frames that the report judges by, first and one after the last; None: chosen.
        tracker: Python with MediaPipe; None: the usual place.
        face_model: the user's morphable model; None: the tracker's mesh alone.
        expression_model: the folder of its expressions, where they are apart.
        notices: what must go with copies.
        crop: pixels of the renderer's picture: 192, 256 or 384.
        matte: make one, for other backgrounds, where the camera stood still.
        prepare: do all that comes before the training, and no more.
    """

    video: Path
    out: Path
    name: str | None = None
    device: str = "auto"
    minutes: float = CPU_MINUTES
    seed: int = 0
    resume: bool = False
    consent: dict[str, Any] | str | None = None
    licence: str = UNSTATED
    adversarial: bool | None = None
    sound_offset_ms: float = 0.0
    held_out: tuple[int, int] | None = None
    tracker: Path | None = None
    face_model: Path | None = None
    expression_model: Path | None = None
    notices: str = "There are none beside the licence."
    crop: int = 192
    matte: bool = True
    prepare: bool = False


def make(
    request: Request,
    *,
    base: Person,
    say: Callable[[str], None],
    tell: Callable[[Progress], None],
    fit_lips: FitLips | None = None,
) -> Outcome | None:
    """Make a person; None where it was only prepared.

    Args:
        request: what is asked for.
        base: whose motion network the lips begin with: it learnt from synthetic speech.
        say: called with sentences about what is done.
        tell: called after each step of the training.
        fit_lips: see `run.finetune`; by default from the clip alone.

    Raises:
        ConfigError: an option is wrong, or something is missing on this machine.
        PersonFileError: the video cannot be used; the message says why.
    """
    display_name = request.name or request.out.resolve().name
    device = _device(request.device)
    adversarial = request.adversarial
    if adversarial is None:
        adversarial = device == "cuda"
    face_model = _face_model(request)
    settings = Settings(
        name=name_of(display_name),
        display_name=display_name,
        minutes=request.minutes,
        seed=request.seed,
        device=device,
        adversarial=adversarial,
        sound_offset_ms=request.sound_offset_ms,
        held_out=request.held_out,
        face_model=None if face_model is None else face_model.sha256,
        crop=request.crop,
    )
    consent = consent_record(request.consent, display_name)
    consent_of({"consent": consent})  # refused now and not after the training
    sha256 = sha256_of(request.video)
    plan = _known_plan(request.out) if request.resume else None
    tracker = _tracker(request, tracked=plan is not None, say=say)
    about = None
    if plan is None:
        assert tracker is not None
        say(f"Checking {request.video.name}.")
        checked = check_video(request.video, tracker, request.crop)
        if checked.findings:
            say(format_findings(checked.findings))
        checked.require_accepted()
        plan = checked.plan
        about = {"findings": [asdict(f) for f in checked.findings], "plan": asdict(plan)}
    place = Workplace.open(request.out, settings, sha256, resume=request.resume)
    if about is not None:
        write_json(place.root / "check.json", about)
    place.require_room(plan.frames)
    with _what_lacks(place):
        clip = ingest(
            request.video,
            place.root / "clip",
            plan,
            sound_offset_ms=request.sound_offset_ms,
        )
        outcome = finetune(
            place,
            clip,
            tracker=tracker,
            base=base,
            fit_lips=fit_lips or partial(lips_of_clip, restore_motion(base)),
            consent=consent,
            licence=request.licence,
            face_model=face_model,
            notices=request.notices,
            matte=request.matte,
            prepare=request.prepare,
            say=say,
            tell=tell,
        )
    if request.consent is None and outcome is not None:
        say(
            "The person's consent is not stated (--consent), so visavis serve will refuse this "
            "person unless it is told --i-have-consent."
        )
    return outcome


@contextmanager
def _what_lacks(place: Workplace) -> Iterator[None]:
    """Turn a full disk or memory into a sentence; what was made stays."""
    try:
        yield
    except MemoryError as error:
        raise ConfigError(
            f"There is not enough memory; what was made lies in {place.root}, and --resume goes on."
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(
            f"The disk of {place.root} is full; make room, and --resume goes on."
        ) from error


def _known_plan(out: Path) -> Plan | None:
    """Return how the video is read in, where the check of it was passed before."""
    try:
        known = json.loads((out / "check.json").read_text("utf-8"))["plan"]
        view = View(**known["view"])
        return Plan(**{**known, "coded": tuple(known["coded"]), "view": view})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tracker(request: Request, *, tracked: bool, say: Callable[[str], None]) -> Path | None:
    """Return the tracker; None where there is none and the face was tracked elsewhere.

    Raises:
        ConfigError: there is none, and it is needed.
    """
    try:
        return find_tracker(request.tracker)
    except ConfigError:
        if not tracked or not (request.out / "geometry.npz").exists():
            raise
    say("There is no face tracker here, so the report will have no closed loop.")
    return None


def _face_model(request: Request) -> FaceModelFile | None:
    """Read the user's face model.

    Raises:
        ConfigError: it cannot be used.
    """
    if request.face_model is not None:
        return read_face_model(request.face_model, request.expression_model)
    if request.expression_model is not None:
        raise ConfigError("--expression-model belongs to a --face-model.")
    return None


def _device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        ConfigError: there is no such device.
    """
    import torch

    there = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if there else "cpu"
    if wanted == "cuda" and not there:
        raise ConfigError("This machine has no CUDA device that torch can use; --device cpu.")
    return wanted


def consent_record(given: dict[str, Any] | str | None, display_name: str) -> dict[str, Any]:
    """Return "consent" of person.json: words that somebody agreed with today, or all of it."""
    if given is None:
        return {"subject": display_name}
    if isinstance(given, dict):
        return given
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"subject": display_name, "given": given, "on": today}
