"""What can be refused at once, before minutes are spent and torch is even loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.file_kinds import kind_of
from visavis.export.imports.systems import importer_of

__all__ = ["MAX_BYTES", "check_target", "preflight", "sheet_of"]

MAX_BYTES = 4 << 30  # of a checkpoint


def preflight(system: str, checkpoints: Sequence[Path], out: Path) -> None:
    """Refuse what cannot become an import.

    Raises:
        ImportRefused: there is no such system, a file is missing or nothing that anybody could
            use, or there is no place to write to.
    """
    importer_of(system)
    if not checkpoints:
        raise ImportRefused(f"{system} is imported from its checkpoints; none was given.")
    for path in checkpoints:
        if (kind := kind_of(path, MAX_BYTES)).name == "nothing":
            raise ImportRefused(f"{path} {kind.refusal}.")
    check_target(out)
    check_target(sheet_of(out))


def sheet_of(out: Path) -> Path:
    """Return where the contact sheet of a person file is put."""
    return out.with_name(f"{out.name}.check.png")


def check_target(out: Path) -> None:
    """Refuse a place that nothing can be written to, before anything is done.

    Raises:
        ImportRefused: it is taken, or its folder is missing or cannot be written to.
    """
    if out.is_symlink() or out.exists():
        raise ImportRefused(f"{out} exists already; nothing is written over.")
    if not out.parent.is_dir():
        raise ImportRefused(f"The folder {out.parent} does not exist; make it first.")
    if not os.access(out.parent, os.W_OK):
        raise ImportRefused(f"The folder {out.parent} cannot be written to.")
