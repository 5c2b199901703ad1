"""An ONNX graph as a list of torch calls.

The list is made once: what depends on weights alone is computed then, and every tensor has a slot
that is emptied after its last use, so that torch's allocator can give the memory to the next. To
run is to go down the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.engines.errors import PersonFileError
from visavis.engines.onnx_model import Model, Node, read_model
from visavis.engines.torch_operators import OPERATORS, Function, Given, Unsupported

__all__ = ["Steps", "compile_model"]

INTEGER_OPERATORS = {"QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger"}


@dataclass(frozen=True, slots=True)
class _Step:
    function: Function
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    several: bool
    done: tuple[int, ...]


class Steps:
    """A graph that is ready to run on one device.

    Attributes:
        inputs, outputs: names, in order.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        slots: Sequence[Tensor | None],
        entries: Sequence[int],
        exits: Sequence[int],
        steps: Sequence[_Step],
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._slots, self._steps = list(slots), list(steps)
        self._entries, self._exits = list(entries), list(exits)

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return every output by name, on the device; several threads may call at once.

        Args:
            tensors: every input by name, [N, ...].
        """
        slots = list(self._slots)
        for name, slot in zip(self.inputs, self._entries, strict=True):
            slots[slot] = tensors[name]
        for step in self._steps:
            made = step.function(*[slots[index] for index in step.inputs])
            for index, tensor in zip(step.outputs, made if step.several else (made,), strict=True):
                slots[index] = tensor
            for index in step.done:
                slots[index] = None
        found = (slots[index] for index in self._exits)
        return {
            name: tensor.contiguous()
            for name, tensor in zip(self.outputs, found, strict=True)
            if tensor is not None
        }


def compile_model(name: str, data: bytes, device: torch.device) -> Steps:
    """Make a graph ready.

    Args:
        name: the part's name, for messages.
        data: an ONNX model.
        device: where it shall run.

    Raises:
        PersonFileError: it is damaged, or asks for what is not carried out here.
    """
    model = read_model(name, data)
    try:
        return _compile(model, device)
    except Unsupported as error:
        raise PersonFileError(f"{name!r} does not run with torch: {error}.") from None
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise PersonFileError(f"{name!r} does not run with torch: {reason}.") from error


def _compile(model: Model, device: torch.device) -> Steps:
    known: dict[str, NDArray[np.generic]] = dict(model.weights)
    fixed: dict[str, Tensor] = {}
    slot_of: dict[str, int] = {name: index for index, name in enumerate(model.inputs)}
    slots: list[Tensor | None] = [None] * len(slot_of)
    last_use: dict[int, int] = {}
    listed: list[tuple[Function, tuple[int, ...], tuple[int, ...], bool]] = []

    def slot(name: str) -> int:
        if name not in slot_of:
            if name and name not in known:
                raise Unsupported(f"nothing gives {name[:60]!r}")
            slot_of[name] = len(slots)
            slots.append(_weight(known[name], device) if name else None)
        return slot_of[name]

    with torch.inference_mode():
        for node in model.nodes:
            function = _function(node, known)
            several = len(node.outputs) > 1 or node.operator == "Split"
            if all(not name or name in known for name in node.inputs):
                # Weights alone: computed once, and known to what follows.
                made = function(
                    *(None if not name else _tensor(name, known, fixed) for name in node.inputs)
                )
                for name, tensor in zip(node.outputs, made if several else (made,), strict=True):
                    fixed[name], known[name] = tensor, tensor.numpy()
                continue
            inputs = tuple(slot(name) for name in node.inputs)
            outputs = []
            for name in node.outputs:
                if name in slot_of or name in known:
                    raise Unsupported(f"{name[:60]!r} is given twice")
                slot_of[name] = len(slots)
                slots.append(None)
                outputs.append(slot_of[name])
            last_use |= dict.fromkeys((*inputs, *outputs), len(listed))
            listed.append((function, inputs, tuple(outputs), several))
        exits = [slot(name) for name in model.outputs]
    kept = {index for index, tensor in enumerate(slots) if tensor is not None} | set(exits)
    steps = [
        _Step(
            function,
            inputs,
            outputs,
            several,
            tuple(
                index
                for index in {*inputs, *outputs}
                if last_use[index] == number and index not in kept
            ),
        )
        for number, (function, inputs, outputs, several) in enumerate(listed)
    ]
    entries = [slot_of[name] for name in model.inputs]
    return Steps(model.inputs, model.outputs, slots, entries, exits, steps)


def _function(node: Node, known: Mapping[str, NDArray[np.generic]]) -> Function:
    if node.operator in INTEGER_OPERATORS:
        raise Unsupported("it is in 8-bit integers, which are for processors; take fp32 or fp16")
    if (build := OPERATORS.get(node.operator)) is None:
        raise Unsupported(f"the operator {node.operator[:60]!r} is not carried out by this backend")
    return build(Given(node, known))


def _tensor(
    name: str, known: Mapping[str, NDArray[np.generic]], fixed: Mapping[str, Tensor]
) -> Tensor:
    return fixed[name] if name in fixed else torch.from_numpy(known[name].copy())


def _weight(array: NDArray[np.generic], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array.copy()).to(device)
    # Pictures follow the layout of the first weight that they meet.
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
