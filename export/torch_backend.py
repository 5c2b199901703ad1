"""The trained networks themselves, plugged in where the engine runs exported ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from visavis.engines.backend import Backend, Feeds, Graph

__all__ = ["Recorder", "TorchBackend", "TorchGraph"]

Outputs = dict[str, NDArray[np.generic]]


class TorchGraph:
    """A torch module as a graph.

    Args:
        module: takes tensors in the order of `inputs`, gives one or more in that of `outputs`.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._module = copy.deepcopy(module).cpu().float().eval()
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)

    def run(self, feeds: Feeds) -> Outputs:
        """Return every output by name; see `backend.Graph`."""
        with torch.no_grad():
            made = self._module(*(torch.from_numpy(feeds[name].copy()) for name in self._inputs))
        return {name: array.numpy() for name, array in zip(self._outputs, made, strict=True)}


class Recorder:
    """A graph that keeps what goes in and what comes out."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.fed: list[dict[str, NDArray[np.float32]]] = []
        self.given: list[Outputs] = []

    def run(self, feeds: Feeds) -> Outputs:
        """Return every output by name; see `backend.Graph`."""
        self.fed.append({name: array.copy() for name, array in feeds.items()})
        self.given.append(self._graph.run(feeds))
        return self.given[-1]


class TorchBackend:
    """Gives modules for parts, whatever the parts hold.

    Args:
        graphs: by name of the part.
        otherwise: loads all other parts.
    """

    name = f"torch {torch.__version__}"

    def __init__(self, graphs: Mapping[str, Graph], otherwise: Backend) -> None:
        self._graphs = graphs
        self._otherwise = otherwise

    def load(self, name: str, model: bytes) -> Graph:
        """Return the module that is given for a part; see `backend.Backend`."""
        if name in self._graphs:
            return self._graphs[name]
        return self._otherwise.load(name, model)
