"""The folder of one fine-tuning: what lies where, and what was asked for.

    finetune.json       whose folder it is (`record`)
    settings.json       what was asked for; going on with other settings is refused
    check.json          what was found in the video, and how it is read in
    clip/               frames.i420, sound.npy: the video as everything after uses it
    track/              of the face, in parts
    face_model/         the fit of the user's face model, where there is one (`morphable.person`)
    geometry.npz        shape, poses and mouth of every frame
    lips/               the motion stage
    renderer/           state.pt, the training; plan.json, how long it is to be; start.pt, where
                        somebody put it, a renderer to begin with in place of the generic one
    person/             what `export.native` reads
    report.html, report.json, report.md
    NAME.person         the person

Whatever is there already is not made again. Everything is written beside its place and then moved
there, so a run may end at any moment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.engines.errors import ConfigError
from visavis.finetune.record import Record

__all__ = ["Settings", "Workplace", "name_of", "write_json"]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CROP = 192  # pixels; of such a crop a frame is not larger than this:
BYTES_PER_FRAME = 512 * 512 * 3 // 2
SPARE_BYTES = 300 << 20
# What only the training asks for: it may change until that is planned.
OF_TRAINING = ("minutes", "device", "adversarial")


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides what comes out.

    Attributes:
        name: of the person, as files and addresses have it; display_name, as people read it.
        minutes: to spend.
        seed: of everything that is left to chance.
        device: ``cpu`` or ``cuda``.
        adversarial: whether the adversarial stage is run.
        sound_offset_ms: the sound is moved later by so much.
        held_out: first frame, and the one after the last, that the report judges by; None for
            a choice.
        face_model: SHA-256 of the files of the user's face model by name; None for none.
        crop: pixels of the renderer's picture, by which face and frame grow.
    """

    name: str
    display_name: str
    minutes: float
    seed: int
    device: str
    adversarial: bool
    sound_offset_ms: float = 0.0
    held_out: tuple[int, int] | None = None
    face_model: Mapping[str, str] | None = None
    crop: int = CROP


@dataclass(frozen=True, slots=True)
class Workplace:
    """An open folder; see above."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path, settings: Settings, clip_sha256: str, *, resume: bool) -> Workplace:
        """Make the folder, or go on with it.

        Raises:
            ConfigError: it is there and not ours, or not of these settings and this video, or it
                is ours and going on was not asked for; or the disk has no room for it.
        """
        # Through JSON, as what was given before.
        given = json.loads(json.dumps({**asdict(settings), "clip_sha256": clip_sha256}))
        path = root / "settings.json"
        if path.exists():
            if not resume:
                raise ConfigError(
                    f"{root} is there already: --resume goes on with it, visavis delete removes it."
                )
            before = {"crop": CROP, **json.loads(path.read_text("utf-8"))}
            planned = (root / "renderer" / "plan.json").exists()
            for key, value in given.items():
                if key in OF_TRAINING and not planned:
                    continue
                if before.get(key) != value:
                    raise ConfigError(
                        f"{root} was begun with {key} {before.get(key)!r}, not {value!r}; "
                        "give the same, or another folder."
                    )
            write_json(path, given)
        else:
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                raise ConfigError(f"{root} is there already and was not made by visavis finetune.")
            root.mkdir(parents=True, exist_ok=True)
            Record(root.resolve(), clip_sha256).write()
            write_json(path, given)
        return cls(root, settings)

    @property
    def person_file(self) -> Path:
        """Where the person goes."""
        return self.root / f"{self.settings.name}.person"

    def require_room(self, frames: int) -> None:
        """Refuse to begin what would fill the disk.

        Raises:
            ConfigError: there is too little room.
        """
        needed = round(frames * BYTES_PER_FRAME * (self.settings.crop / CROP) ** 2) + SPARE_BYTES
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise ConfigError(
                f"{self.root} needs {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} are free."
            )

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """A folder that takes its place when all that belongs into it was written."""
        target = self.root / name
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)


def name_of(text: str) -> str:
    """Return a name for files and addresses, made of what somebody called the person.

    Raises:
        ConfigError: nothing of it can be used.
    """
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:64]
    if not NAME.fullmatch(name):
        raise ConfigError(f"{text!r} has no letters or digits to make a name of; give --name.")
    return name


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file at once or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
