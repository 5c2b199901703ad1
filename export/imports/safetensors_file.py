"""Reads a safetensors file: a length, names and shapes as JSON, then the numbers.

Format: https://github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visavis.export.imports.errors import ImportRefused

__all__ = ["read_safetensors"]

MAX_HEADER, MAX_TENSORS = 16 << 20, 50_000
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors by name.

    Raises:
        ImportRefused: it is damaged.
    """
    try:
        data = bytearray(path.read_bytes())
        length = int.from_bytes(data[:8], "little")
        if length > min(MAX_HEADER, len(data) - 8):
            raise ValueError("its list of tensors is longer than it may be")
        header = json.loads(data[8 : 8 + length])
        if not isinstance(header, dict) or len(header) > MAX_TENSORS:
            raise ValueError("it lists no tensors, or too many")
        return {
            str(name): _tensor(data, 8 + length, entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImportRefused(f"{path} is a damaged safetensors file: {error}.") from None


def _tensor(data: bytearray, start: int, entry: Any) -> Tensor:
    dtype, shape = TYPES[entry["dtype"]], [int(size) for size in entry["shape"]]
    begin, end = (int(offset) for offset in entry["data_offsets"])
    count = math.prod(shape)
    if min(shape, default=0) < 0 or not 0 <= begin <= end <= len(data) - start:
        raise ValueError("a tensor lies outside of the file")
    if end - begin != count * dtype.itemsize:
        raise ValueError("a tensor's size is not that of its shape")
    if not count:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype, count=count, offset=start + begin).reshape(shape)
