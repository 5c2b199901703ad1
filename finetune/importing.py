"""Importing a person of a published system, with the face tracker that `finetune` has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError, PersonFileError
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.make import Imported, import_person
from visavis.export.imports.request import Request
from visavis.finetune.check.finder import FaceFinder
from visavis.finetune.environment import find_tracker
from visavis.finetune.make import consent_record
from visavis.finetune.workplace import name_of
from visavis.models.points68 import TRACKED

__all__ = ["Given", "Points68", "import_given", "parse_points"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MOST_POINTS, LONGEST_TEXT = 68, 1 << 16


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says; see `export.imports.request.Request`.

    Attributes:
        out: the person file.
        points: as texts "x,y", or the path of a text file with them.
        tracker: a Python with MediaPipe; the usual one where None.
        name, display_name: the file's name where None.
        consent: what the person agreed to, in words; None where that is not stated.
    """

    system: str
    checkpoints: tuple[Path, ...]
    out: Path
    image: Path | None = None
    clip: Path | None = None
    references: tuple[Path, ...] = ()
    coefficients: Path | None = None
    face_model: Path | None = None
    expression_model: Path | None = None
    points: tuple[str, ...] = ()
    tracker: Path | None = None
    name: str | None = None
    display_name: str | None = None
    consent: str | None = None
    licence: str = "not stated"
    motion: str = "native"
    speech: Path | None = None
    styles: tuple[Path, ...] = ()
    drive: tuple[Path, ...] = ()
    lookahead_ms: int | None = None
    ahead: int | None = None
    frames: int | None = None
    face_only: bool = False
    tune: int | None = None
    half: bool = False


class Points68:
    """Finds the usual 68 points of the largest face in pictures; the tracker starts when asked.

    Args:
        python: of the tracker; the usual one where None.
    """

    def __init__(self, python: Path | None) -> None:
        self._python = python

    def __call__(self, pictures: U8) -> Sequence[F32 | None]:
        """Return f32[68, 2] of each picture, None where there is no face.

        Args:
            pictures: RGB uint8[T, H, W, 3].

        Raises:
            ImportRefused: there is no tracker, or it failed.
        """
        try:
            python = find_tracker(self._python)
            with FaceFinder(python, pictures.shape[2], pictures.shape[1]) as find:
                faces = [find(picture) for picture in pictures]
        except (ConfigError, PersonFileError) as error:
            raise ImportRefused(
                f"Where the face is must be found, or said with --points. {error}"
            ) from error
        return [np.ascontiguousarray(found[0][TRACKED, :2]) if found else None for found in faces]


def import_given(given: Given, *, say: Callable[[str], None]) -> Imported:
    """Make the person file of what is given; see `export.imports.make.import_person`.

    Raises:
        ImportRefused: something given cannot be used, or what was made of it does not work.
    """
    display_name = given.display_name or given.name or given.out.stem
    request = Request(
        system=given.system,
        checkpoints=given.checkpoints,
        image=given.image,
        clip=given.clip,
        coefficients=given.coefficients,
        face_model=given.face_model,
        expression_model=given.expression_model,
        references=given.references,
        styles=given.styles,
        drive=given.drive,
        motion=given.motion,
        name=name_of(given.name or given.out.stem),
        display_name=display_name,
        consent=consent_record(given.consent, display_name),
        licence=given.licence,
        half=given.half,
        points=parse_points(given.points),
        speech=given.speech,
        ahead=given.ahead,
        lookahead_ms=given.lookahead_ms,
        frames=given.frames,
        face_only=given.face_only,
        tune=given.tune,
        find_points=Points68(given.tracker),
    )
    made = import_person(request, given.out, say=say)
    if given.consent is None:
        say(
            "The person's consent is not stated (--consent), so visavis serve will refuse this "
            "person unless it is told --i-have-consent."
        )
    return made


def parse_points(texts: Sequence[str]) -> tuple[tuple[float, float], ...]:
    """Return points of texts "x,y", or of one text file that holds two numbers a line.

    Raises:
        ImportRefused: they are no points.
    """
    if len(texts) == 1 and "," not in texts[0]:
        try:
            with open(texts[0], encoding="utf-8") as file:
                texts = [line for line in file.read(LONGEST_TEXT).splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise ImportRefused(f"The points {texts[0]!r} cannot be read: {error}.") from error
    points = []
    for text in texts:
        numbers = [part for part in re.split(r"[,\s]+", text.strip()) if part]
        try:
            x, y = (float(number) for number in numbers)
        except ValueError:
            raise ImportRefused(f"{text[:40]!r} is no point; one is 120,88.") from None
        points.append((x, y))
    if len(points) > MOST_POINTS:
        raise ImportRefused(f"A face has at most {MOST_POINTS} points; {len(points)} were given.")
    return tuple(points)
