"""The backends that this machine has."""

from __future__ import annotations

from visavis.engines.backend import Backend

__all__ = ["available"]


def available() -> list[Backend]:
    """Return one of each, ready to load networks."""
    from visavis.engines.onnx_cpu import OnnxCpuBackend

    return [OnnxCpuBackend()]
