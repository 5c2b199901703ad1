"""Writes a checkpoint as torch 0.2 did under Python 2: byte strings, CUDA storages, no zip."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Scalar:
    """A number of numpy, as trainers keep the best score."""

    def __init__(self, value: float) -> None:
        self.value = value


class Settings:
    """An argparse.Namespace."""

    def __init__(self, **values: Any) -> None:
        self.values = values


def legacy_checkpoint(content: Mapping[str, Any]) -> bytes:
    """Return the file of nested dicts with arrays float32, numbers, texts, Scalar and Settings."""
    storages: list[np.ndarray[Any, Any]] = []
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    file = _pickle(MAGIC, storages) + _pickle(1001, storages) + _pickle(system, storages)
    file += _pickle(content, storages)
    file += _pickle([str(k) for k in range(len(storages))], storages)
    for array in storages:
        file += struct.pack("<q", array.size) + array.astype("<f4").tobytes()
    return file


def _pickle(value: Any, storages: list[np.ndarray[Any, Any]]) -> bytes:
    return b"\x80\x02" + _value(value, storages) + b"."


def _value(value: Any, storages: list[np.ndarray[Any, Any]]) -> bytes:
    match value:
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if -(1 << 31) <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        case int():
            long = value.to_bytes(value.bit_length() // 8 + 1, "little")
            return b"\x8a" + bytes([len(long)]) + long
        case float():
            return b"G" + struct.pack(">d", value)
        case str():  # Python 2: of no encoding that is told
            text = value.encode("latin1")
            return b"U" + bytes([len(text)]) + text
        case list():
            return b"](" + b"".join(_value(item, storages) for item in value) + b"e"
        case dict():
            items = [(_value(k, storages), _value(v, storages)) for k, v in value.items()]
            return b"}(" + b"".join(key + item for key, item in items) + b"u"
        case np.ndarray():
            return _tensor(value, storages)
        case Scalar():
            dtype = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR"
            return (
                b"cnumpy.core.multiarray\nscalar\n("
                + dtype
                + b"U\x08"
                + struct.pack("<d", value.value)
                + b"tR"
            )
        case Settings():
            return b"cargparse\nNamespace\n)\x81" + _value(value.values, storages) + b"b"
    raise TypeError(type(value))


def _tensor(array: np.ndarray[Any, Any], storages: list[np.ndarray[Any, Any]]) -> bytes:
    storages.append(array)
    key = str(len(storages) - 1)
    persistent = (
        b"(" + _value("storage", []) + b"ctorch.cuda\nFloatStorage\n" + _value(key, [])
        + _value("cuda:0", []) + _value(array.size, []) + b"NtQ"
    )  # fmt: skip
    strides = [step // array.itemsize for step in array.strides]
    shape, steps = (
        b"(" + b"".join(_value(int(n), []) for n in numbers) + b"t"
        for numbers in (array.shape, strides)
    )
    return b"ctorch._utils\n_rebuild_tensor\n(" + persistent + b"K\x00" + shape + steps + b"tR"
