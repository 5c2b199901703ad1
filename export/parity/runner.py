"""Run every parity case of a folder, and tell what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.export.parity.case import Case, ParityFolder
from visavis.export.parity.check import Check

__all__ = ["Part", "Row", "as_json", "line", "run_folder"]

Part = Callable[[Case], Iterable[Check]]


@dataclass(frozen=True, slots=True)
class Row:
    """One check of one case.

    Attributes:
        system, part: whose.
        check: what was compared; of a case that could not be run one with a reason.
    """

    system: str
    part: str
    check: Check


def run_folder(path: Path, systems: Mapping[str, Mapping[str, Part]]) -> Iterator[Row]:
    """Run the cases of a folder one after the other and yield rows as they come.

    A case that cannot be run here, or of which an array was not looked at, gives a row that failed.

    Args:
        path: the folder.
        systems: what runs the parts of each system; ours are `systems.SYSTEMS`.

    Raises:
        ConfigError: at the first row: the folder cannot be read or holds no case.
    """
    folder = ParityFolder(path)
    for system, part in folder.names:
        for check in _run(folder, system, part, systems.get(system, {}).get(part)):
            yield Row(system, part, check)


def line(row: Row) -> str:
    """Return a row for a terminal."""
    check = row.check
    what = f"{row.system:<13}{row.part:<21}{check.what:<29}"
    if check.reason:
        return f"{what}FAIL  {check.reason}"
    told = "ok" if check.passed else "FAIL"
    return f"{what}{check.measure:<10}{check.error:>10.2e} of {check.most:<8.1e}  {told}"


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as JSON; an error that is not finite becomes null."""
    return [
        {
            "system": row.system,
            "part": row.part,
            **{key: _finite(value) for key, value in asdict(row.check).items()},
            "passed": row.check.passed,
        }
        for row in rows
    ]


def _run(folder: ParityFolder, system: str, part: str, run: Part | None) -> list[Check]:
    if run is None:
        return [_failure("nothing here runs this part")]
    try:
        case = folder.case(system, part)
        checks = list(run(case))
    except Exception as error:  # whatever it is, it is why the case does not pass
        text = str(error).splitlines()
        return [_failure(f"{type(error).__name__}: {text[0][:300] if text else ''}")]
    checks += [
        Check(name, "", math.inf, 0.0, "it was not compared") for name in sorted(case.unread)
    ]
    return checks or [_failure("nothing was compared")]


def _failure(reason: str) -> Check:
    return Check("-", "", math.inf, 0.0, reason)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
