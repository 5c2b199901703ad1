"""`visavis export`: the person file of a training, noted in the training's record.

`visavis delete` takes with a training folder what was exported from it, wherever that lies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from visavis.export.native import Exported, export_person
from visavis.export.trained import person_folder
from visavis.finetune.record import NAME, Record

__all__ = ["export_trained"]


def export_trained(
    folder: Path, out: Path, *, precisions: Collection[str], say: Callable[[str], None]
) -> Exported:
    """Export what `visavis finetune` left; see `export.native.export_person`.

    Args:
        folder: of the training, or its `person/`.
    """
    root = person_folder(folder).resolve().parent

    def note(person_id: str) -> None:
        if (root / NAME).exists():
            Record.read(root).add_made(out, person_id)

    return export_person(folder, out, precisions=precisions, say=say, note=note)
