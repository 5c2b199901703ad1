"""A person, read from one file: checked, in memory, never touched on disk again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.npy import parse_array
from visavis.engines.onnx_check import check_model
from visavis.engines.person_file import MANIFEST, open_regular
from visavis.engines.person_manifest import GraphSpec, Manifest, StageSpec, parse_manifest
from visavis.engines.person_zip import MAX_FILE_BYTES, pack, unpack
from visavis.engines.plate import decode_plate
from visavis.engines.reference_parts import check_references
from visavis.engines.strict_json import parse_json
from visavis.engines.vet import vet
from visavis.engines.video_check import check_poster, check_video

__all__ = ["Person", "load_person", "peek_person", "read_person", "write_person"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """A person file's content.

    Attributes:
        id: SHA-256 of `person.json`, in hex. It lists every part's hash, so it names them all.
        name: what the person is called in addresses and options.
        display_name: what people read.
        system: the method it was made with, for people to read; nothing branches on it.
        width, height: of a frame, in pixels, even.
        fps: frames per second, 25.
        sample_rate: of the audio that the first stage takes, 16000.
        lookahead_ms: audio that a frame needs after its own start, unless a session asks for
            another of lookaheads_ms.
        lookaheads_ms: those that the motion has heads for.
        stages: the seven stages by name.
        graphs: the networks by name.
        parts: every part's bytes by name.
        manifest: `person.json`, as it was parsed.
        matte: an mp4, how much of each pixel of the background's frames is the person, or None.
        plate: a JPEG, what stood behind them; there where there is a matte.
        face: see `look.LookSpec`.
    """

    id: str
    name: str
    display_name: str
    system: str
    width: int
    height: int
    fps: int
    sample_rate: int
    lookahead_ms: int
    lookaheads_ms: tuple[int, ...]
    contains_licensed: bool
    stages: Mapping[str, StageSpec]
    graphs: Mapping[str, GraphSpec]
    parts: Mapping[str, bytes]
    arrays: Mapping[str, NDArray[np.generic]]
    manifest: Mapping[str, Any]
    poster: bytes
    preview: bytes | None
    matte: bytes | None
    plate: bytes | None
    face: tuple[float, float, float] | None

    def stage_parts(self, stage: str) -> dict[str, NDArray[np.generic] | bytes]:
        """Return what a stage reads, by role: arrays for `.npy`, bytes for everything else."""
        files = self.stages[stage].parts
        return {role: self.arrays.get(file, self.parts[file]) for role, file in files.items()}


def load_person(source: str | os.PathLike[str] | bytes, *, trusted: bool = False) -> Person:
    """Read a person file.

    Args:
        source: a path, or the file's bytes.
        trusted: it is ours. Otherwise its graphs and its video are first opened in a process of
            their own, with bounded memory and time.

    Raises:
        PersonFileError: it cannot be read, is malformed, or does not run.
    """
    data = source if isinstance(source, bytes) else _read(Path(source))
    person = _parse(data)
    if trusted:
        _check_pictures(person)
    else:
        vet(data)
    logger.info("person %s loaded, id %s", person.name, person.id[:12])
    return person


def read_person(data: bytes) -> Person:
    """Check a person file's bytes and open its pictures; run nothing else of it.

    Raises:
        PersonFileError: it is malformed.
    """
    person = _parse(data)
    _check_pictures(person)
    return person


def peek_person(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """Return a person file's id and its `person.json`, as parsed JSON that nobody checked.

    For whoever has to know which person a file is, and uses nothing of it.

    Raises:
        PersonFileError: it cannot be read, or is no person file.
    """
    document = _take_document(unpack(_read(Path(path))))
    return hashlib.sha256(document).hexdigest(), parse_json(MANIFEST, document)


def write_person(manifest: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Return the person file of `manifest` (without "parts", which is filled in) and `parts`.

    Equal input gives equal bytes. What is returned has passed `read_person`.

    Raises:
        PersonFileError: the result would be refused.
    """
    entries = {
        name: {"sha256": hashlib.sha256(part).hexdigest(), "size": len(part)}
        for name, part in sorted(parts.items())
    }
    try:
        document = json.dumps(
            {**manifest, "parts": entries}, indent=1, ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise PersonFileError(f"{MANIFEST} cannot be written: {error}.") from error
    data = pack({MANIFEST: document.encode("utf-8"), **parts}, first=MANIFEST)
    read_person(data)
    return data


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        try:
            return file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise PersonFileError(f"{path} cannot be read: {reason}.") from error


def _take_document(members: dict[str, bytes]) -> bytes:
    if MANIFEST not in members:
        raise PersonFileError(f"This is not a person file: it holds no {MANIFEST}.")
    return members.pop(MANIFEST)


def _check_parts(manifest: Manifest, members: Mapping[str, bytes]) -> None:
    if unlisted := members.keys() - manifest.parts.keys():
        raise PersonFileError(f"{sorted(unlisted)[0]!r} is in the file but not in {MANIFEST}.")
    if missing := manifest.parts.keys() - members.keys():
        raise PersonFileError(f"{sorted(missing)[0]!r} is in {MANIFEST} but not in the file.")
    for name, spec in manifest.parts.items():
        if len(members[name]) != spec.size:
            raise PersonFileError(
                f"{name!r} has {len(members[name])} bytes, {MANIFEST} says {spec.size}."
            )
        if hashlib.sha256(members[name]).hexdigest() != spec.sha256:
            raise PersonFileError(f"{name!r} is not what {MANIFEST} lists: its hash differs.")


def _parse(data: bytes) -> Person:
    """Check everything that needs no codec and no runtime."""
    members = unpack(data)
    document = _take_document(members)
    value = parse_json(MANIFEST, document)
    manifest = parse_manifest(value)
    _check_parts(manifest, members)
    arrays = {
        name: parse_array(name, part) for name, part in members.items() if name.endswith(".npy")
    }
    for name, part in members.items():
        if name.endswith(".json"):
            parse_json(name, part)
    for graph in manifest.graphs.values():
        for file in graph.variants.values():
            check_model(file, members[file], graph.inputs, graph.outputs)
    check_references(manifest.graphs, arrays)
    return Person(
        id=hashlib.sha256(document).hexdigest(),
        name=manifest.name,
        display_name=manifest.display_name,
        system=manifest.system,
        width=manifest.width,
        height=manifest.height,
        fps=manifest.fps,
        sample_rate=manifest.sample_rate,
        lookahead_ms=manifest.lookahead_ms,
        lookaheads_ms=manifest.lookaheads_ms,
        contains_licensed=manifest.contains_licensed,
        stages=MappingProxyType(dict(manifest.stages)),
        graphs=MappingProxyType(dict(manifest.graphs)),
        parts=MappingProxyType(members),
        arrays=MappingProxyType(arrays),
        manifest=MappingProxyType(value),
        poster=members[manifest.poster],
        preview=None if manifest.preview is None else members[manifest.preview],
        matte=None if manifest.look.matte is None else members[manifest.look.matte],
        plate=None if manifest.look.plate is None else members[manifest.look.plate],
        face=manifest.look.face,
    )


def _check_pictures(person: Person) -> None:
    check_poster(person.manifest["poster"], person.poster)
    for file in person.stages["background"].parts.values():
        if file.endswith(".mp4"):
            check_video(file, person.parts[file], person.width, person.height)
    if person.preview is not None:
        check_video(person.manifest["preview"], person.preview)
    if person.matte is not None and person.plate is not None:
        look = person.manifest["look"]
        check_video(look["matte"], person.matte, person.width, person.height)
        decode_plate(look["plate"], person.plate, person.width, person.height)
