"""One run of the yardstick."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visavis.engines.person import Person
from visavis.finetune.lips.yardstick.clip_report import clip_figures, clip_json, clip_text, grid
from visavis.finetune.lips.yardstick.clip_table import clip_table
from visavis.finetune.lips.yardstick.clips import read_clips
from visavis.finetune.lips.yardstick.listener import Kept, Lips, Recorder, lips_of
from visavis.finetune.lips.yardstick.targets import TARGETS, misses

__all__ = ["SCHEMA", "Options", "Result", "evaluate"]

logger = logging.getLogger(__name__)

SCHEMA = "visavis-lips/1"


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure.

    Attributes:
        lips: a person file, a built-in person, a checkpoint (.pt) or kept curves (.npz).
        load: gives a person by file or name.
        cache: folder for tracks.
        clips: folder of real clips, or None.
        tracker: Python with MediaPipe, or None.
        lookahead_ms: None for the lips' own.
        against: other lips, to be compared with.
        keep: file for what was shown, to compare with later.
        draws: of the bootstrap.
        params: of the motion stage, where `lips` is a checkpoint.
    """

    lips: str
    load: Callable[[str], Person]
    cache: Path
    clips: Path | None = None
    tracker: Path | None = None
    lookahead_ms: int | None = None
    against: str | None = None
    keep: Path | None = None
    draws: int = 1000
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """What was measured.

    Attributes:
        document: for JSON; lines: for people; figures: by the keys of targets.
    """

    document: dict[str, Any]
    lines: list[str]
    figures: dict[str, float | None]

    @property
    def missed(self) -> list[str]:
        """Keys of the targets that are not met."""
        return misses(self.figures)


def evaluate(options: Options) -> Result:
    """Measure.

    Raises:
        ConfigError: an option cannot be used.
        PersonFileError, AudioInputError: something that is measured cannot be read.
    """
    started = time.monotonic()
    lips: Lips = lips_of(options.lips, options.load, options.lookahead_ms, options.params)
    recorder = Recorder(lips)
    against = None
    if options.against is not None:
        against = lips_of(options.against, options.load, None, options.params)
    result = Result(
        {"schema": SCHEMA, "lips": {"name": lips.name, "lookahead_ms": lips.lookahead_ms}},
        [f"Lips of {lips.name}, {lips.lookahead_ms} ms of look-ahead."],
        {},
    )
    if options.clips is not None:
        _clips(options, recorder, against, result)
    _targets(result)
    if options.keep is not None:
        recorder.save(options.keep)
    result.document["took_s"] = round(time.monotonic() - started, 1)
    return result


def _clips(options: Options, lips: Lips, against: Lips | None, result: Result) -> None:
    assert options.clips is not None
    pieces = read_clips(options.clips, options.cache, options.tracker)
    sounds = [p.sound for p in pieces]
    other = None
    if against is not None and not (isinstance(against, Kept) and not against.knows(sounds)):
        other = against.show(sounds)
    table = clip_table(
        pieces,
        lips.show(sounds),
        lookahead_ms=lips.lookahead_ms,
        against=other,
        draws=options.draws,
    )
    result.document["clips"] = clip_json(table)
    result.lines += ["", *clip_text(table)]
    result.figures |= clip_figures(table)
    logger.info("real clips measured")


def _targets(result: Result) -> None:
    rows, entries = [], []
    for target in TARGETS:
        value = result.figures.get(target.key)
        if value is None:
            continue
        met = target.met(value)
        entries.append(
            {
                "key": target.key,
                "says": target.says,
                "value": value,
                "low": target.low,
                "high": target.high,
                "met": met,
            }
        )
        rows.append([target.says, target.shown(value), target.bounds, "yes" if met else "NO"])
    result.document["targets"] = entries
    if rows:
        result.lines += ["", "Targets", *grid(["", "measured", "wanted", "met"], rows)]
