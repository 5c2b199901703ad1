"""The published systems that persons are imported from. What makes a draft is loaded when asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request

if TYPE_CHECKING:
    from visavis.export.imports.draft import Draft

__all__ = ["SYSTEMS", "Importer", "importer_of"]

Importer = Callable[[Request, Callable[[str], None]], "Draft"]


def _late(module: str) -> Importer:
    def draft(request: Request, say: Callable[[str], None]) -> Draft:
        made: Draft = importlib.import_module(f"visavis.export.imports.{module}").draft(
            request, say
        )
        return made

    return draft


SYSTEMS: Mapping[str, Importer] = {
    name: _late(name) for name in ("davs", "headpose", "audiodvp", "style_avatar", "rhythmic")
}


def importer_of(system: str) -> Importer:
    """Return what makes a draft of a system's files.

    Raises:
        ImportRefused: there is no such system.
    """
    if system not in SYSTEMS:
        raise ImportRefused(
            f"There is no system {system[:40]!r}; persons are imported from {', '.join(SYSTEMS)}."
        )
    return SYSTEMS[system]
