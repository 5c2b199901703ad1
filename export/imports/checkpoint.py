"""Reads the files of published networks: tensors and their names, and nothing that runs.

A PyTorch checkpoint is a pickle, alone (before torch 1.6) or in a zip. `torch.load` with
`weights_only` builds tensors and containers and calls nothing else. What it does not bound is
bounded here: the file, compressed members of the zip, what tensors claim to hold.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.file_kinds import kind_of
from visavis.export.imports.preflight import MAX_BYTES
from visavis.export.imports.safetensors_file import read_safetensors

__all__ = ["read_checkpoint", "unnest"]

MAX_PICKLE_BYTES = 64 << 20  # of a zip: names and shapes only
MAX_ITEMS, MAX_DEPTH = 100_000, 8
_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool)  # fmt: skip


class _Ignored:
    """Stands for what a checkpoint keeps beside weights: settings, and numbers of numpy."""

    def __init__(self, *values: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _made_dict(*values: Any) -> dict[Any, Any]:
    return {}


# What trainers keep beside weights. None of these names is called; what stands for them is empty.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Ignored, "numpy.core.multiarray.scalar"),
    (_Ignored, "numpy._core.multiarray.scalar"),
    (_Ignored, "numpy.core.multiarray._reconstruct"),
    (_Ignored, "numpy._core.multiarray._reconstruct"),
    (_Ignored, "numpy.ndarray"),
    (_Ignored, "numpy.dtype"),
    (_Ignored, "argparse.Namespace"),
    (_Ignored, "builtins.dict"),
    (_Ignored, "builtins.list"),
    (_made_dict, "collections.defaultdict"),
]
_DAMAGED = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    AssertionError,
    OverflowError,
    RecursionError,
    MemoryError,
    OSError,
    NotImplementedError,
)
_FORBIDDEN = re.compile(r"GLOBAL (\S+)")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU; see also `unnest`.

    Args:
        path: written by `torch.save` of any version, or a safetensors file.

    Returns:
        nested dicts by text, with tensors; everything else that a trainer kept is left out. A file
        of one tensor alone gives {"": tensor}.

    Raises:
        ImportRefused: it is no checkpoint, wants to run code, is damaged or too large.
    """
    kind = kind_of(path, MAX_BYTES)
    if kind.refusal:
        raise ImportRefused(f"{path} {kind.refusal}.")
    if kind.name == "safetensors":
        return dict(read_safetensors(path))
    if kind.name == "zip":
        _check_zip(path)
    loaded = _load(path, mapped=kind.name == "zip")
    counted = [0]
    if isinstance(loaded, Tensor):
        loaded = {"": loaded}
    if not isinstance(loaded, Mapping):
        raise ImportRefused(f"{path} holds no tensors by name, but a {type(loaded).__name__}.")
    kept = _kept(path, loaded, path.stat().st_size, counted, 0)
    if not kept:
        raise ImportRefused(f"{path} holds no tensors.")
    return kept


def unnest(checkpoint: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Return every state dict of a checkpoint by where it stands in it.

    Args:
        checkpoint: from `read_checkpoint`.

    Returns:
        tensors by key; by dotted path, "" for the file's own.
    """
    found: dict[str, dict[str, Tensor]] = {}
    _collect(checkpoint, "", found)
    return found


def _collect(values: Mapping[str, Any], where: str, found: dict[str, dict[str, Tensor]]) -> None:
    own = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    if own:
        found[where] = own
    for key, value in values.items():
        if isinstance(value, Mapping):
            _collect(value, f"{where}.{key}" if where else key, found)


def _check_zip(path: Path) -> None:
    """Refuse zips that are something else than a checkpoint, or unpack to more than they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ImportRefused(f"{path} is a damaged or truncated checkpoint: {error}.") from None
    names = {member.filename for member in members}
    last = {name.rsplit("/", 1)[-1] for name in names}
    if "person.json" in names:
        raise ImportRefused(f"{path} is a person file; an import takes the networks' own files.")
    if "constants.pkl" in last:
        raise ImportRefused(
            f"{path} is a TorchScript program, which is code; give the state dict of its weights."
        )
    if "data.pkl" not in last:
        raise ImportRefused(f"{path} is a zip, but no checkpoint of PyTorch.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ImportRefused(f"{path} has compressed members, which PyTorch does not write.")
    if any(
        member.filename.endswith("data.pkl") and member.file_size > MAX_PICKLE_BYTES
        for member in members
    ):
        raise ImportRefused(f"{path} lists more than a network has.")


def _load(path: Path, *, mapped: bool) -> Any:
    try:
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            # Of old formats it warns; what it makes of them is looked at below.
            warnings.simplefilter("ignore")
            # Of Python 2 a text is bytes, in whatever encoding; latin-1 takes them all.
            return torch.load(
                path, weights_only=True, map_location="cpu", mmap=mapped, encoding="latin1"
            )
    except _DAMAGED as error:
        _refuse(path, error)


def _refuse(path: Path, error: BaseException) -> NoReturn:
    if match := _FORBIDDEN.search(str(error)):
        raise ImportRefused(
            f"{path} wants to run {match[1].rstrip('.')!r} when it is loaded; "
            "a checkpoint of weights alone runs nothing, so it was not loaded."
        ) from None
    reason = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:160]
    raise ImportRefused(
        f"{path} is damaged, truncated or no checkpoint of PyTorch: {reason.rstrip('. ')}."
    ) from None


def _kept(
    path: Path, values: Mapping[Any, Any], size: int, counted: list[int], depth: int
) -> dict[str, Any]:
    """Return tensors and dicts that hold some; keys are texts."""
    if depth > MAX_DEPTH:
        raise ImportRefused(f"{path} is nested deeper than a checkpoint is.")
    kept: dict[str, Any] = {}
    for key, value in values.items():
        counted[0] += 1
        if counted[0] > MAX_ITEMS:
            raise ImportRefused(f"{path} lists more than a network has.")
        if not isinstance(key, str):
            continue  # an optimizer's; its tensors are moments, and no weights
        if isinstance(value, Tensor):
            kept[key] = _checked(path, key, value, size)
        elif isinstance(value, Mapping) and (inner := _kept(path, value, size, counted, depth + 1)):
            kept[key] = inner
    return kept


def _checked(path: Path, key: str, tensor: Tensor, size: int) -> Tensor:
    plain = tensor.detach()
    if plain.layout != torch.strided or plain.is_quantized or plain.dtype not in _TYPES:
        raise ImportRefused(f"{path}: {key[:80]} is of a kind of tensor that no network here has.")
    if plain.device.type != "cpu" or plain.numel() * plain.element_size() > size:
        raise ImportRefused(f"{path}: {key[:80]} claims to hold more than the file does.")
    return plain
