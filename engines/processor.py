"""What the processor can compute, as the kernel tells it."""

from __future__ import annotations

import platform
from pathlib import Path

__all__ = ["INTEGER_PRODUCTS", "features", "is_x86", "lacks_vnni"]

# Any of them multiplies 8-bit numbers and adds the products in 32 bits. Without, x86 adds pairs of
# products in 16 bits and saturates: sums of unsigned and signed bytes then come out too small.
INTEGER_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def features(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Return the flags of the first core; empty where the kernel does not tell them."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def is_x86() -> bool:
    """Whether this is a 64-bit x86 processor."""
    return platform.machine() in ("x86_64", "AMD64")


def lacks_vnni() -> bool:
    """Whether this is an x86 processor that computes 8-bit networks wrongly."""
    return is_x86() and not features() & INTEGER_PRODUCTS
