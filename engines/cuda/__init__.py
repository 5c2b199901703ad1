"""The whole frame on a GPU: our own CUDA kernels, and what drives them."""

from __future__ import annotations

__all__: list[str] = []
