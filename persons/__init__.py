"""The built-in persons, one folder each, with what made them."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["BUILTIN", "builtin"]

BUILTIN = ("presenter",)


def builtin(name: str = "presenter") -> Traversable:
    """Where the person file of a built-in person lies.

    Args:
        name: one of :data:`BUILTIN`.
    """
    return files(__name__) / name / f"{name}.person"
