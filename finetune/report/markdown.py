"""The report in short, as Markdown without pictures: what may be kept of somebody else's clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.finetune.report.words import (
    Table,
    adversarial,
    cost_table,
    flicker_table,
    idle_sentence,
    loop_table,
    picture_tables,
    summary,
    target_table,
    voice_table,
    was_seen,
)

__all__ = ["markdown"]


def markdown(document: Mapping[str, Any]) -> str:
    """Return the page of a report's document."""
    person, settings = document["person"], document["settings"]
    judged = ", ".join(f"{a} to {b - 1}" for a, b in settings["held_out"])
    mouth, teeth = picture_tables(document)
    cost = cost_table(document)
    blocks = [
        f"# {person['display_name']}",
        f"Frames {judged} of {settings['frames']} are judged, {settings['lookahead_ms']} ms of "
        f"look-ahead. {was_seen(document)} {adversarial(document)} {summary(document)}",
        _table(target_table(document)),
        "**The mouth**: likeness, energy of three octaves over the real one's, coherence of the "
        "finest, the seam",
        _table(mouth),
        "**Teeth**: what is between open lips",
        _table(teeth),
        "**Flicker** of still lips, 6 to 12.5 Hz, over that of the filmed ones",
        _table(flicker_table(document)),
        "**Closed loop**: the finished picture, tracked again, against the mouth asked for",
        _table(loop_table(document)),
        "**Voice**: lips that only hear the sound",
        _table(voice_table(document)),
        f"**Idle**: {idle_sentence(document)}",
    ]
    if cost is not None:
        blocks += ["**Cost**", _table(cost)]
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    head, rows = table
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
