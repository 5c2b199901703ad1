"""The weights of a parity case, made from the parameters' names.

Every tensor has a generator of its own, seeded with the CRC-32 of "salt/key" (numpy's PCG64), so no
weights need to be stored, and a tensor does not depend on the others. The schema of a part lists
the keys in the order of the original file, each with its shape and with what steers the draw.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_VALUES", "digest", "make_weights", "wave_basis"]

MAX_KEYS = 5_000
MAX_VALUES = 400_000_000  # 1.6 GB; the largest part has 259 million
MAX_STEPS = 100

Array = NDArray[np.generic]
F32 = NDArray[np.float32]

# The end of a key's last name to the rule that its values follow.
_BY_ENDING = {
    "num_batches_tracked": "counter",
    "running_mean": "mean",
    "running_var": "var",
    "_u": "sn_u",
    "_v": "sn_v",
}
# Normal draws: the factor and what is added. A weight's factor depends on how many inputs it sums.
_NORMAL = {"mean": (0.1, 0.0), "bias": (0.05, 0.0), "norm": (0.1, 1.0), "prelu": (0.05, 0.25)}
_SPECTRAL = ("sn_u", "sn_v")


def make_weights(schema: Mapping[str, Any], salt: str) -> dict[str, Array]:
    """Return every tensor of a part, by the file's keys, in the file's order.

    Args:
        schema: the JSON of a "PART.schema.json".
        salt: of the case.

    Raises:
        ValueError: the schema is malformed or asks for too much.
    """
    entries = _checked(schema)
    made: dict[str, Array] = {}
    gain = float(schema.get("default_gain", 2.0))
    steps = min(int(schema.get("power_steps", 12)), MAX_STEPS)
    for key, entry in entries.items():
        if "alias_of" in entry:
            made[key] = made[entry["alias_of"]]
            continue
        shape = tuple(entry["shape"])
        rule = entry.get("rule") or _rule(key, len(shape))
        if rule in _SPECTRAL:
            made[key] = _spectral(made, key, rule, salt, int(entry.get("axis", 0)), steps)
        else:
            made[key] = _draw(key, shape, salt, rule, {"gain": gain, **entry})
    return made


def digest(weights: Mapping[str, Array]) -> str:
    """Return the SHA-256 over keys and float values, in order.

    The vectors of spectral norm are left out: their last bits depend on the linear algebra library.
    """
    total = hashlib.sha256()
    for key, value in weights.items():
        if value.dtype == np.float32 and _rule(key, value.ndim) not in _SPECTRAL:
            total.update(key.encode())
            total.update(np.ascontiguousarray(value).data)
    return total.hexdigest()


def wave_basis(
    key: str, points: NDArray[np.floating], columns: int, scale: float, salt: str
) -> F32:
    """Return a smooth basis on points, f32[3N, columns]: rows x, y, z of point 0, of point 1, ...

    Args:
        points: f[N, 3].
        scale: of the amplitude, in the points' unit.
    """
    rng = _generator(key, salt)
    frequency = rng.standard_normal((3, columns)) * 3.0
    phase = rng.random(columns) * 2 * np.pi
    amplitude = rng.standard_normal((3, columns)) * scale
    waves = np.sin(np.asarray(points, np.float64) @ frequency + phase)
    return (waves[:, None, :] * amplitude).reshape(-1, columns).astype(np.float32)


def _checked(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    entries = schema.get("keys")
    if not isinstance(entries, dict) or not 0 < len(entries) <= MAX_KEYS:
        raise ValueError(f"The schema does not list between 1 and {MAX_KEYS} keys.")
    total = 0
    for key, entry in entries.items():
        shape = entry.get("shape")
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"The schema gives {key!r} no shape.")
        total += 0 if "alias_of" in entry else math.prod(shape)
    if total > MAX_VALUES:
        raise ValueError(f"The schema asks for {total} values; {MAX_VALUES} are the most.")
    return entries


def _generator(key: str, salt: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{salt}/{key}".encode()))


def _rule(key: str, dimensions: int) -> str:
    last = key.rsplit(".", 1)[-1]
    for ending, rule in _BY_ENDING.items():
        if last.endswith(ending):
            return rule
    if last.startswith("bias") or last.endswith("_bias"):
        return "bias"
    return "weight" if dimensions > 1 else "norm"


def _draw(
    key: str, shape: tuple[int, ...], salt: str, rule: str, entry: Mapping[str, Any]
) -> Array:
    rng = _generator(key, salt)
    scale = np.float32(entry.get("scale", 1.0))
    if rule in ("counter", "zero"):
        return np.zeros(shape, np.int64)
    if rule == "var":
        return np.asarray((np.float32(0.5) + rng.random(shape, dtype=np.float32)) * scale)
    if rule == "index":
        return np.asarray(np.floor(rng.random(shape, dtype=np.float32) * np.float32(300)))
    values = rng.standard_normal(shape, dtype=np.float32)
    if rule == "unit_rows":
        lengths = np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
        return np.asarray(values / lengths, np.float32)
    if rule == "weight":
        inputs = entry.get("fan_in") or math.prod(shape[1:])
        factor, offset = math.sqrt(float(entry["gain"]) / float(inputs)), 0.0
    elif rule in _NORMAL:
        factor, offset = _NORMAL[rule]
    else:
        raise ValueError(f"The schema gives {key!r} the rule {rule!r}, which does not exist.")
    values *= np.float32(factor * float(entry.get("scale", 1.0)))
    values += np.float32(offset)
    return values


def _spectral(
    made: Mapping[str, Array], key: str, rule: str, salt: str, axis: int, steps: int
) -> F32:
    """Singular vectors by power iteration; the weight stands before its vectors in a file."""
    stem = key[: -len("_u")]
    weight = np.moveaxis(made[f"{stem}_orig"].astype(np.float64), axis, 0)
    matrix = weight.reshape(len(weight), -1)
    left = _generator(f"{stem}_u", salt).standard_normal(len(matrix), dtype=np.float32)
    u = left.astype(np.float64)
    v = np.zeros(matrix.shape[1])
    for _ in range(steps):
        v = matrix.T @ u
        v /= np.linalg.norm(v)
        u = matrix @ v
        u /= np.linalg.norm(u)
    return (u if rule == "sn_u" else v).astype(np.float32)
