"""Loading the state dict of a published network strictly, under the names that its file uses.

Our modules have names of their own where the original's mislead. What a file calls them is declared
in a `StateLayout`; nothing is guessed, and a tensor that is missing, extra or of another shape is
named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["StateLayout", "StateMismatch", "build", "load_strictly", "tensors"]

PARALLEL = "module."  # what torch.nn.DataParallel puts before every key
COUNTER = "num_batches_tracked"  # of batch norm; files before torch 0.4.1 have none
NAMED = 8  # keys that a message names; a wrong file has hundreds

_Network = TypeVar("_Network", bound=nn.Module)


class StateMismatch(ValueError):
    """A state dict is not one of this network."""


@dataclass(frozen=True, slots=True)
class StateLayout:
    """What a file calls the tensors of a network. All names are without "module.".

    Attributes:
        renames: dotted prefix of the file's keys to ours; the longest that fits is taken.
        aliases: dotted prefix to the one that names the same tensors. A file may hold either, or
            both, which then must be equal.
        unused: patterns (fnmatch) of the file's keys that the network does not compute with. They
            may be there or not.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    unused: Sequence[str] = ()


def load_strictly(
    module: nn.Module, state: Mapping[str, Tensor], layout: StateLayout | None = None
) -> None:
    """Give `module` the tensors of `state`, which it keeps without a copy.

    Args:
        module: of float32; may be on the meta device.
        state: a file's state dict, every key with or every key without "module.". The counters of
            batch norm may be absent.

    Raises:
        StateMismatch: a tensor is missing, extra, misshapen or not of floating point.
    """
    layout = layout or StateLayout()
    if state and all(key.startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): value for key, value in state.items()}
    found, sources, extra, unequal = _renamed(state, layout)
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name.rsplit(".", 1)[-1] == COUNTER and name not in found:
            found[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    extra += [sources[name] for name in found if name not in wanted]
    missing = [_of_the_file(name, layout) for name in wanted if name not in found]
    misshapen = [
        f"{sources.get(name, name)} {_described(found[name])} instead of {_described(tensor)}"
        for name, tensor in wanted.items()
        if name in found and not _fits(found[name], tensor)
    ]
    complaints = [
        f"{what} {_listed(keys)}"
        for what, keys in (
            ("missing", missing),
            ("extra", extra),
            ("misshapen", misshapen),
            ("different under two names", unequal),
        )
        if keys
    ]
    if complaints:
        raise StateMismatch(f"This is no state of {type(module).__name__}: {'; '.join(complaints)}")
    module.load_state_dict(
        {name: found[name].to(tensor.dtype) for name, tensor in wanted.items()}, assign=True
    )


def build(
    make: Callable[[], _Network], state: Mapping[str, Tensor], layout: StateLayout | None = None
) -> _Network:
    """Return a network with the weights of `state`, for inference.

    It is made without memory of its own first: drawing the initial values of 259 million parameters
    takes longer than using them.

    Raises:
        StateMismatch: as `load_strictly`.
    """
    with torch.device("meta"):
        network = make()
    load_strictly(network, state, layout)
    return network.eval().requires_grad_(False)


def tensors(weights: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    """Return arrays as tensors that share their memory."""
    return {key: torch.from_numpy(np.asarray(value)) for key, value in weights.items()}


def _renamed(
    state: Mapping[str, Tensor], layout: StateLayout
) -> tuple[dict[str, Tensor], dict[str, str], list[str], list[str]]:
    """Our names to tensors, our names to the file's, keys that collide, aliases that differ."""
    found: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    extra: list[str] = []
    unequal: list[str] = []
    for key, tensor in state.items():
        if any(fnmatchcase(key, pattern) for pattern in layout.unused):
            continue
        first = _with_prefix(key, layout.aliases)
        name = _with_prefix(first, layout.renames)
        if name not in found:
            found[name], sources[name] = tensor, key
        elif first == key and _with_prefix(sources[name], layout.aliases) == sources[name]:
            extra.append(key)  # two keys of the file that are no declared aliases
        elif not _same(found[name], tensor):
            unequal.append(key)
    return found, sources, extra, unequal


def _with_prefix(key: str, table: Mapping[str, str]) -> str:
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        if prefix in table:
            return ".".join([table[prefix], *parts[count:]])
    return key


def _of_the_file(name: str, layout: StateLayout) -> str:
    return _with_prefix(name, {ours: theirs for theirs, ours in layout.renames.items()})


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and (a.data_ptr() == b.data_ptr() or bool(torch.equal(a, b)))


def _fits(tensor: Tensor, wanted: Tensor) -> bool:
    return tensor.shape == wanted.shape and tensor.is_floating_point() == wanted.is_floating_point()


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _listed(keys: Sequence[str]) -> str:
    more = len(keys) - NAMED
    return ", ".join(keys[:NAMED]) + (f" and {more} more" if more > 0 else "")
