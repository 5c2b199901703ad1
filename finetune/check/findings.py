"""What a check finds: one sentence each, with the number that was measured and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from visavis.engines.errors import PersonFileError

__all__ = ["Finding", "Level", "VideoRefused", "format_findings", "listed"]

Level = Literal["refused", "warning", "note"]

_ORDER: tuple[Level, ...] = ("refused", "warning", "note")
_AT_MOST = 8  # things that are listed by name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found in a video.

    Attributes:
        kind: a short name for programs, "no-face" for one.
        level: "refused", the video cannot be used; "warning", the person will suffer from it;
            "note", it is dealt with.
        text: one sentence for people.
    """

    kind: str
    level: Level
    text: str


class VideoRefused(PersonFileError):
    """A video cannot be used.

    Args:
        kind: of the finding that says why.
        text: its sentence.
    """

    def __init__(self, kind: str, text: str) -> None:
        self.finding = Finding(kind, "refused", text)
        super().__init__(kind, text)

    def __str__(self) -> str:
        return self.finding.text


def format_findings(findings: Sequence[Finding]) -> str:
    """Return the findings as lines, the gravest first; one line says so if there are none."""
    if not findings:
        return "nothing to remark"
    ordered = sorted(findings, key=lambda finding: _ORDER.index(finding.level))
    return "\n".join(f"{finding.level:8} {finding.text}" for finding in ordered)


def listed(times: Iterable[float]) -> str:
    """Return seconds as words: "4.76, 8.88 and 11.76 s", of many the first ones."""
    known = [f"{time:.2f}" for time in times]
    if len(known) > _AT_MOST:
        return f"{', '.join(known[:_AT_MOST])} s and {len(known) - _AT_MOST} more"
    return f"{' and '.join(filter(None, [', '.join(known[:-1]), *known[-1:]]))} s"
