"""An import from beginning to end: files in, a person file that was tried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from visavis.engines.consent import consent_of
from visavis.engines.errors import PersonFileError
from visavis.export.imports.check import Checked, check_import
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.preflight import preflight, sheet_of
from visavis.export.imports.request import Request
from visavis.export.imports.systems import importer_of
from visavis.export.imports.voice import read_voice
from visavis.export.imports.write import pack, put
from visavis.export.references import add_reference

__all__ = ["Imported", "import_person"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What was made.

    Attributes:
        size: of the person file, in bytes.
        sheet: the picture beside it.
        licensed: why it must not be given on; None where it may.
        checked: what was found.
    """

    size: int
    sheet: Path
    licensed: str | None
    checked: Checked


def import_person(
    request: Request, out: Path, *, say: Callable[[str], None] = lambda sentence: None
) -> Imported:
    """Make a person file of a published system's checkpoints, try it, and write it.

    Args:
        request: what is given.
        out: the file; the contact sheet lies beside it. Both are written, or none.
        say: called with a sentence before each step.

    Raises:
        ImportRefused: something given cannot be used, or what was made of it does not work.
    """
    preflight(request.system, request.checkpoints, out)
    if request.motion not in ("native", "original"):
        raise ImportRefused(f"The motion is native or original, not {request.motion[:40]!r}.")
    try:
        consent_of({"consent": dict(request.consent)})  # refused now and not after minutes
    except PersonFileError as error:
        raise ImportRefused(str(error)) from error
    voice = None if request.speech is None else read_voice(request.speech)
    draft = importer_of(request.system)(request, say)
    say("Packing the person.")
    packed = pack(draft, request)
    checked = check_import(packed.person(), draft, voice=voice, say=say)
    for name, arrays in checked.references.items():
        add_reference(name, arrays, packed.manifest, packed.parts)
    data = packed.data()
    put(checked.sheet, sheet_of(out))
    try:
        put(data, out)
    except ImportRefused:
        sheet_of(out).unlink(missing_ok=True)
        raise
    return Imported(len(data), sheet_of(out), draft.contains_licensed, checked)
