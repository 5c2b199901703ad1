"""A person for others: the file, with its licence and notices to read beside it.

What contains parts under others' terms is not given on, nor who has not agreed to be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from visavis.engines.consent import consent_of
from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person, load_person
from visavis.engines.person_file import open_regular
from visavis.engines.person_zip import MAX_FILE_BYTES

__all__ = ["Shared", "licensed_reason", "share"]


@dataclass(frozen=True, slots=True)
class Shared:
    """What was written: the person file, and texts."""

    files: tuple[Path, ...]


def licensed_reason(person: Person) -> str | None:
    """Return why a person must not be given on, "" where that is not said; None where it may."""
    if not person.contains_licensed:
        return None
    return str(person.manifest["made_by"].get("licensed", "")).strip().rstrip(".")


def share(source: Path, folder: Path) -> Shared:
    """Copy a person file with its licence and notices into a folder, which is made.

    Raises:
        PersonFileError: it is no valid person, contains what may not be given on, states no
            consent, or cannot be written; nothing is written over.
    """
    with open_regular(source) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    person = load_person(data)
    if (reason := licensed_reason(person)) is not None:
        raise PersonFileError(
            f"{source} must not be given on, as it contains licensed parts: "
            f"{reason or 'its notices say under which terms'}."
        )
    if not consent_of(person.manifest).stated:
        raise PersonFileError(
            f"{source} does not state that the person it shows agreed to anything, so it is not "
            "given on; make it anew with --consent."
        )
    texts = {
        f"{person.name}.person": data,
        f"{person.name}.licence.txt": f"{person.manifest['licence']}\n".encode(),
        f"{person.name}.notices.txt": _notices(person).encode(),
    }
    targets = [folder / name for name in texts]
    if taken := [target for target in targets if target.exists() or target.is_symlink()]:
        raise PersonFileError(f"{taken[0]} exists already; nothing is written over.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target, content in zip(targets, texts.values(), strict=True):
            partial = target.with_name(f".{target.name}.{os.getpid()}.part")
            try:
                partial.write_bytes(content)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise PersonFileError(
            f"{folder} cannot be written: {(error.strerror or str(error)).lower()}."
        ) from error
    return Shared(tuple(targets))


def _notices(person: Person) -> str:
    consent = consent_of(person.manifest)
    day = "" if consent.on is None else f", {consent.on.isoformat()}"
    return (
        f"{person.display_name}, made with {person.system}. Id {person.id}.\n\n"
        f"Consent of {consent.subject}{day}: {consent.given}\n\n{person.manifest['notices']}\n"
    )
