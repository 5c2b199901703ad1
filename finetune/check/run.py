"""The check of a video, from file to verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visavis.finetune.check.cuts import LEAST_S, cut_times, gaps, stretches, too_little
from visavis.finetune.check.faces import face_findings
from visavis.finetune.check.finder import FaceFinder
from visavis.finetune.check.findings import Finding, VideoRefused, listed
from visavis.finetune.check.look import Look, look, sample_size
from visavis.finetune.check.plan import CROP, Plan, make_plan
from visavis.finetune.check.probe import probe
from visavis.finetune.check.sound import sound_findings
from visavis.finetune.check.source import Facts, read_facts

__all__ = ["Checked", "check_video", "cut_findings"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        findings: all of them, in the order in which they were looked for.
        known_plan: how to read the video in; None where no face was seen.
    """

    findings: tuple[Finding, ...]
    known_plan: Plan | None

    @property
    def refused(self) -> bool:
        """Whether the video cannot be used."""
        return any(finding.level == "refused" for finding in self.findings)

    @property
    def plan(self) -> Plan:
        """How to read the video in.

        Raises:
            VideoRefused: the video cannot be used.
        """
        self.require_accepted()
        assert self.known_plan is not None  # without a face the video is refused
        return self.known_plan

    def require_accepted(self) -> None:
        """Do nothing where the video can be used.

        Raises:
            VideoRefused: it cannot; the first finding that says so.
        """
        for finding in self.findings:
            if finding.level == "refused":
                raise VideoRefused(finding.kind, finding.text)


def check_video(path: Path, tracker: Path, crop: int = CROP) -> Checked:
    """Look for everything that keeps a video from becoming a person.

    Args:
        path: of the video; nothing about it is trusted.
        tracker: the interpreter of an environment made from `finetune/tracker/requirements.txt`.
        crop: pixels of the renderer's crop, which says how large the face must be.

    Raises:
        PersonFileError: the tracker does not run.
    """
    found: list[Finding] = []
    try:
        facts = read_facts(path)
        found += probe(facts)
        with FaceFinder(tracker, *sample_size(facts)) as find:
            seen = look(facts, find)
    except VideoRefused as refused:
        return Checked((*found, refused.finding), None)
    plan = make_plan(facts, seen.samples, crop)
    found += cut_findings(facts, seen)
    found += face_findings(seen.samples, plan, crop)
    found += sound_findings(facts)
    return Checked(tuple(found), plan)


def cut_findings(facts: Facts, seen: Look) -> list[Finding]:
    """Return what is to be said about cuts, about pictures that are missing, and about damage."""
    found = []
    if seen.damaged:
        found.append(
            Finding(
                "damaged",
                "warning",
                f"{seen.damaged} pieces of the video are damaged and were left out; copy it again "
                "from where it was recorded.",
            )
        )
    missing = gaps(facts.time)
    if missing:
        found.append(
            Finding(
                "frozen",
                "warning",
                f"The picture stands still for {max(b - a for a, b in missing):.1f} s or less at "
                f"{listed(a for a, _ in missing)}; these parts are left out.",
            )
        )
    if not seen.whole:
        found.append(
            Finding(
                "cuts-later",
                "note",
                f"The pictures are large, so {len(seen.time)} of {len(facts.time)} were looked at; "
                "cuts are found when the video is read in.",
            )
        )
    cuts = cut_times(seen.time, seen.change) if seen.whole else []
    broken = too_little(cuts, missing, facts.used_s)
    if broken is not None and facts.used_s >= LEAST_S:
        found.append(broken)
    elif cuts:
        kept = sum(b - a for a, b in stretches(cuts, missing, facts.used_s))
        found.append(
            Finding(
                "cuts",
                "warning",
                f"The video is cut at {listed(cuts)}; nothing is learnt across cuts, and "
                f"{kept:.1f} of {facts.used_s:.1f} s are used.",
            )
        )
    return found
