"""One run of the yardstick."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import Person
from visavis.finetune.lips.yardstick.clip_report import (
    clip_figures,
    clip_json,
    clip_text,
    figures_of,
)
from visavis.finetune.lips.yardstick.clip_table import clip_table
from visavis.finetune.lips.yardstick.clips import Piece, find_clips, read_clips
from visavis.finetune.lips.yardstick.continuous import show_clips
from visavis.finetune.lips.yardstick.gate_table import gate_json, silence_toys
from visavis.finetune.lips.yardstick.hour import hour
from visavis.finetune.lips.yardstick.listener import (
    Kept,
    Lips,
    PersonLips,
    Recorder,
    Shown,
    lips_of,
)
from visavis.finetune.lips.yardstick.loop_table import loop_table, scenes
from visavis.finetune.lips.yardstick.report import (
    gate_figures,
    gate_text,
    hour_figures,
    hour_text,
    loop_figures,
    loop_text,
    speech_figures,
    speech_text,
    target_json,
    target_text,
    toy_text,
)
from visavis.finetune.lips.yardstick.sounds import no_speech
from visavis.finetune.lips.yardstick.speech_table import (
    mean_of,
    measure_talk,
    speech_table,
    speech_toys,
)
from visavis.finetune.lips.yardstick.talks import Talk, held_out_talks, in_noise, whispered
from visavis.finetune.lips.yardstick.targets import misses
from visavis.finetune.lips.yardstick.toys import TOYS

__all__ = ["SCHEMA", "Options", "Result", "evaluate"]

F32 = NDArray[np.float32]

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
        voices: of each kind of held-out voice; 0 leaves synthetic speech out.
        sentences: of each of them.
        hour: let them talk for an hour, too.
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
    voices: int = 2
    sentences: int = 10
    hour: bool = False
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
    return _Run(options).done()


class _Run:
    """Takes the measurements one after the other and collects what they say."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._started = time.monotonic()
        if options.clips is not None:
            find_clips(options.clips)  # before the person is loaded, which takes its time
        self._lips = lips_of(options.lips, options.load, options.lookahead_ms, options.params)
        self._recorder = Recorder(self._lips)
        self._against: Lips | None = None
        if options.against is not None:
            self._against = lips_of(options.against, options.load, None, options.params)
        lips = self._lips
        self._result = Result(
            {"schema": SCHEMA, "lips": {"name": lips.name, "lookahead_ms": lips.lookahead_ms}},
            [f"Lips of {lips.name}, {lips.lookahead_ms} ms of look-ahead."],
            {},
        )
        self._toys: dict[str, dict[str, float | None]] = {toy.name: {} for toy in TOYS}

    def done(self) -> Result:
        """Everything that the options ask for."""
        options, result = self._options, self._result
        pieces: list[Piece] = []
        if options.clips is not None:
            pieces = read_clips(options.clips, options.cache, options.tracker)
            self._real(pieces)
        talks = held_out_talks(options.voices, options.sentences) if options.voices else []
        if talks:
            self._speech(talks)
        if options.tracker is not None and isinstance(self._lips, PersonLips) and talks + pieces:
            table = loop_table(self._lips, scenes(talks, pieces), options.tracker)
            self._add("picture", table, loop_text(table), loop_figures(table))
        if options.hour and talks:
            table = hour(self._lips, np.concatenate([t.sound for t in talks[:2]]))
            self._add("hour", table, hour_text(table), hour_figures(table))
        self._verdict()
        if options.keep is not None:
            self._recorder.save(options.keep)
        result.document["took_s"] = round(time.monotonic() - self._started, 1)
        return result

    def _add(
        self,
        name: str,
        document: dict[str, Any],
        lines: list[str],
        figures: dict[str, float | None],
    ) -> None:
        self._result.document[name] = document
        self._result.lines += ["", *lines]
        self._result.figures |= figures
        logger.info("%s measured, %.0f s", name, time.monotonic() - self._started)

    def _others(self, sounds: list[F32]) -> list[Shown] | None:
        """What the other lips show of these, where they can."""
        other = self._against
        if other is None or (isinstance(other, Kept) and not other.knows(sounds)):
            return None
        return other.show(sounds)

    def _real(self, pieces: list[Piece]) -> None:
        shown = show_clips(pieces, self._recorder.show)
        assert shown is not None  # only others may not know a sound
        table = clip_table(
            pieces,
            shown,
            lookahead_ms=self._lips.lookahead_ms,
            against=show_clips(pieces, self._others),
            draws=self._options.draws,
        )
        self._add("clips", clip_json(table), clip_text(table), clip_figures(table))
        for toy in TOYS:
            self._toys[toy.name] |= figures_of(table.row(toy.name))

    def _speech(self, talks: list[Talk]) -> None:
        plain = self._recorder.show([t.sound for t in talks])
        noisy = in_noise(talks)
        sounds = {"plain": talks, "noise": noisy}
        shown = {"plain": plain, "noise": self._recorder.show([t.sound for t in noisy])}
        measured = {
            kind: [measure_talk(t, s) for t, s in zip(sounds[kind], shown[kind], strict=True)]
            for kind in sounds
        }
        other = {
            kind: None
            if (old := self._others([t.sound for t in sounds[kind]])) is None
            else mean_of([measure_talk(t, s) for t, s in zip(sounds[kind], old, strict=True)])
            for kind in sounds
        }
        table = speech_table(talks, measured, other)
        self._add("speech", table, speech_text(table), speech_figures(table))

        silent = no_speech(talks)
        heard = {name: self._recorder.show(pieces) for name, pieces in silent.items()}
        whispers = self._recorder.show([t.sound for t in whispered(talks)])
        gate = gate_json(heard, talks, plain, whispers)
        self._add("gate", gate, gate_text(gate), gate_figures(gate))

        opened = silence_toys(
            [s for pieces in silent.values() for s in pieces],
            [s for pieces in heard.values() for s in pieces],
        )
        for name, figures in speech_toys(talks, plain).items():
            self._toys[name] |= {**figures, "negatives": opened[name]}

    def _verdict(self) -> None:
        result = self._result
        result.document["targets"] = target_json(result.figures)
        result.document["toys"] = {
            name: {"figures": figures, "missed": misses(figures)}
            for name, figures in self._toys.items()
            if figures
        }
        if any(self._toys.values()):
            result.lines += ["", *toy_text(self._toys)]
        if result.figures:
            result.lines += ["", *target_text(result.figures)]
