"""What the operators of ONNX in torch are given beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from visavis.engines.onnx_model import Node

__all__ = ["Function", "Given", "Unsupported"]

Function = Callable[..., Any]
_T = TypeVar("_T")


class Unsupported(Exception):
    """A node asks for what is not carried out here; the message is a clause."""


@dataclass(frozen=True, slots=True)
class Given:
    """A node, and those of its inputs that are known before anything runs.

    Attributes:
        node: the node.
        known: values by name.
    """

    node: Node
    known: Mapping[str, NDArray[np.generic]]

    def attribute(self, name: str, otherwise: _T) -> _T:
        """Return an attribute, of the same type as what stands for it where it is left out.

        Raises:
            Unsupported: it is of another type.
        """
        value = self.node.attributes.get(name, otherwise)
        if otherwise is not None and not isinstance(value, type(otherwise)):
            raise Unsupported(f"the attribute {name!r} of {self.node.operator} has another type")
        return value  # type: ignore[return-value]

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.node.inputs) and self.node.inputs[index] != ""

    def values(self, index: int) -> list[Any] | None:
        """Return an input that must be known beforehand, as numbers; None where it is left out.

        Raises:
            Unsupported: it is computed while the graph runs.
        """
        if not self.has(index):
            return None
        array = self.known.get(self.node.inputs[index])
        if array is None:
            raise Unsupported(f"{self.node.operator} takes sizes that are computed as it runs")
        return list(array.ravel().tolist())

    def require(self, holds: bool, words: str) -> None:
        """Raise `Unsupported` where something does not hold."""
        if not holds:
            raise Unsupported(f"{self.node.operator} {words}")
