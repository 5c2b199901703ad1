"""The measured person, by name or path, and what it says by default."""

from __future__ import annotations

import io
from pathlib import Path

import av

from visavis.engines.errors import AudioInputError
from visavis.engines.person import Person, load_person
from visavis.persons import BUILTIN, builtin

__all__ = ["load", "own_speech"]


def load(person: str) -> Person:
    """A built-in person by name, or a person file by path.

    Raises:
        PersonFileError: the file is missing, malformed, foreign or unsafe.
    """
    if person in BUILTIN:
        return load_person(builtin(person).read_bytes(), trusted=True)
    return load_person(Path(person))


def own_speech(person: Person, folder: Path) -> Path:
    """A file with the person's own speech: its clip where that lies beside it, else its preview.

    Raises:
        AudioInputError: neither has sound.
    """
    if person.name in BUILTIN:
        clip = Path(str(builtin(person.name))).with_suffix(".mp4")
        if clip.exists():
            return clip
    if person.preview is not None:
        with av.open(io.BytesIO(person.preview)) as container:
            heard = bool(container.streams.audio)
        if heard:
            path = folder / "preview.mp4"
            path.write_bytes(person.preview)
            return path
    raise AudioInputError(f"{person.display_name} has no speech of its own; give some: --speech.")
