"""A folder of parity cases, read with bounds and without pickle."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError, PersonFileError
from visavis.engines.strict_json import parse_json
from visavis.export.parity.weights import digest, make_weights, wave_basis

__all__ = ["Case", "CaseError", "ParityFolder"]

MAX_FILE_BYTES = 64 << 20
MAX_ARRAYS_BYTES = 256 << 20  # of one npz, unpacked
MAX_ARRAYS = 200
MAX_CASES = 200
MODEL = "synthetic_bfm"
IDENTITIES, EXPRESSIONS, COLOURS = 80, 64, 80
_PATH = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)?")

Array = NDArray[np.generic]


class CaseError(ValueError):
    """A case is malformed, or our numpy draws other weights than it was made with."""


class ParityFolder:
    """The cases in a folder: ``SYSTEM/PART.case.json`` with ``PART.case.npz`` beside it.

    Raises:
        ConfigError: it is no folder, it cannot be read, or no case is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            found = sorted(
                (file.parent.name, file.name.split(".case.")[0])
                for file in path.glob("*/*.case.*")
                if file.name.endswith((".case.json", ".case.npz"))
            )
            readable = path.is_dir()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
        if not readable:
            raise ConfigError(f"{path} is not a folder.")
        self.names = tuple(dict.fromkeys(found))
        """System and part of every case. A file of it may be missing; reading it says so."""
        if not self.names:
            raise ConfigError(f"There is no parity case (SYSTEM/PART.case.json) in {path}.")
        if len(self.names) > MAX_CASES:
            raise ConfigError(f"{path} holds more than {MAX_CASES} parity cases.")

    def case(self, system: str, part: str) -> Case:
        """Read one case.

        Raises:
            CaseError: it is malformed.
        """
        return Case(self, system, part)

    def document(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the folder, by its path without ".json"."""
        data = self._read(name, ".json")
        try:
            return parse_json(f"{name}.json", data)
        except PersonFileError as error:
            raise CaseError(str(error)) from None

    def arrays(self, name: str) -> dict[str, Array]:
        """Return the arrays of an npz file of the folder, by its path without ".npz"."""
        data = self._read(name, ".npz")
        try:
            return dict(_unpacked(data))
        except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
            raise CaseError(f"{name}.npz cannot be read: {str(error)[:200]}") from None

    def _read(self, name: str, ending: str) -> bytes:
        path, kinds = name, [kind for kind in (".case", ".schema") if name.endswith(kind)]
        if not _PATH.fullmatch(path.removesuffix(kinds[0]) if kinds else path):
            raise CaseError(f"{name!r} is no name of a file in the folder.")
        file = self.path / f"{name}{ending}"
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise CaseError(f"{name}{ending} cannot be read: {error.strerror}.") from None
        if len(data) > MAX_FILE_BYTES:
            raise CaseError(f"{name}{ending} is larger than {MAX_FILE_BYTES >> 20} MiB.")
        return data


class Case:
    """Inputs and outputs of one part of an original program.

    Attributes:
        system, part: what the files are called.
        about: the case's JSON.
    """

    def __init__(self, folder: ParityFolder, system: str, part: str) -> None:
        self.system, self.part = system, part
        self.about = folder.document(f"{system}/{part}.case")
        self._folder = folder
        self._arrays = folder.arrays(f"{system}/{part}.case")
        self._others: dict[str, dict[str, Array]] = {}
        self._unread = set(self._arrays)

    @property
    def tolerance(self) -> Mapping[str, Any]:
        """How far our numbers may be off."""
        tolerance = self.about.get("tolerance")
        if not isinstance(tolerance, dict):
            raise CaseError("The case states no tolerance.")
        return tolerance

    @property
    def unread(self) -> frozenset[str]:
        """Arrays of this case that nobody asked for: they were not compared."""
        return frozenset(self._unread)

    def array(self, name: str) -> NDArray[Any]:
        """Return an array of the case, or with "PART:" or "SYSTEM/PART:" before it of another.

        Raises:
            CaseError: there is none.
        """
        own = f"{self.system}/{self.part}"
        path, _, last = name.rpartition(":")
        path = path if "/" in path else f"{self.system}/{path or self.part}"
        if path == own:
            arrays = self._arrays
            self._unread.discard(last)
        else:
            if path not in self._others:
                self._others[path] = self._folder.arrays(f"{path}.case")
            arrays = self._others[path]
        if last not in arrays:
            raise CaseError(f"There is no array {name!r}.")
        return arrays[last]

    def weights(
        self, schema: str | None = None, salt: str | None = None, sha256: str | None = None
    ) -> dict[str, Array]:
        """Return the weights that the case was made with, by the checkpoint's keys.

        Args:
            schema: such as "davs/decoder.schema.json"; by default the one that the case names.
            salt, sha256: by default those that the case names.

        Raises:
            CaseError: the schema is malformed, or the weights are not those of the case.
        """
        schema = schema or str(self.about.get("schema"))
        salt = salt or str(self.about.get("salt"))
        sha256 = sha256 or str(self.about.get("weights_sha256"))
        try:
            made = make_weights(self._folder.document(schema.removesuffix(".json")), salt)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CaseError(f"{schema} is malformed: {str(error)[:200]}") from None
        if digest(made) != sha256:
            raise CaseError(
                f"The weights made from {schema} are not those of the case: its file was changed, "
                "or this numpy draws other numbers."
            )
        return made

    def face_model(self) -> dict[str, NDArray[Any]]:
        """Return the stand-in for the licensed face model, of V vertices and T triangles.

        Returns:
            meanshape f32[V, 3], triangles i64[T, 3], point_buf i64[V, 8] (triangles around a
            vertex; T stands for none), keypoints i64[68], uv f32[V, 2], idBase f32[3V, 80], exBase
            f32[3V, 64], texBase f32[3V, 80], meantex f32[V, 3] (red, green, blue, 0 to 255).
        """
        return dict(self._model)

    @cached_property
    def _model(self) -> dict[str, NDArray[Any]]:
        stored = self._folder.arrays(MODEL)
        salt = str(self._folder.document(MODEL).get("salt"))
        try:
            mean = np.asarray(stored["meanshape"], np.float32)
            expressions = wave_basis("exBase", mean, EXPRESSIONS, 0.003, salt)
            expressions[1::3, 0] += np.asarray(stored["jaw"], np.float32)
            colour = wave_basis("meantex", mean, 4, 12.0, salt).sum(1).reshape(-1, 3)
            return {
                "meanshape": mean,
                "triangles": stored["triangles"].astype(np.int64),
                "point_buf": stored["point_buf"].astype(np.int64),
                "keypoints": stored["keypoints"].astype(np.int64),
                "uv": np.asarray(stored["uv"], np.float32),
                "idBase": wave_basis("idBase", mean, IDENTITIES, 0.004, salt),
                "exBase": expressions,
                "texBase": wave_basis("texBase", mean, COLOURS, 3.0, salt),
                "meantex": colour + np.array((190, 150, 130), np.float32),
            }
        except (KeyError, ValueError) as error:
            raise CaseError(f"{MODEL}.npz is malformed: {str(error)[:200]}") from None


def _unpacked(data: bytes) -> Iterator[tuple[str, Array]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MAX_ARRAYS or sum(m.file_size for m in members) > MAX_ARRAYS_BYTES:
            raise ValueError("it holds more than a case may")
        for member in members:
            # The library stops where the directory says that a member ends.
            yield member.filename.removesuffix(".npy"), _parsed(archive.read(member))


def _parsed(data: bytes) -> Array:
    """An npy array whose size is checked against its header before anything is allocated."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array is not of npy version 1")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"an array holds {dtype}, not numbers")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError("an array is not as large as its header says")
    order: Literal["F", "C"] = "F" if columns_first else "C"
    # A copy: torch takes no read-only memory.
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order).copy("C")
