"""Operators of ONNX in torch: those that the graphs of a person are made of, and no others.

Each entry of `OPERATORS` takes a node and what is known of it beforehand, and gives a function of
tensors. What a graph computes of shapes is known beforehand (only the batch is free), so axes,
sizes and bounds are numbers when a graph runs, never tensors.
https://onnx.ai/onnx/operators/ (operator sets 13 to 23)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from visavis.engines import torch_pictures as pictures
from visavis.engines.torch_given import Function, Given, Unsupported

__all__ = ["OPERATORS", "Function", "Given", "Unsupported"]

# TensorProto.DataType
_TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64,
}  # fmt: skip


def _plain(function: Function) -> Callable[[Given], Function]:
    return lambda given: function


def _cast(given: Given) -> Function:
    code = given.attribute("to", 0)
    given.require(code in _TYPES, "gives a type that is not used here")
    target = _TYPES[code]
    return lambda x: x.to(target)


def _clip(given: Given) -> Function:
    low, high = given.values(1), given.values(2)
    least, most = low[0] if low else None, high[0] if high else None
    return lambda x, *_: torch.clamp(x, least, most)


def _concat(given: Given) -> Function:
    axis = given.attribute("axis", 0)
    return lambda *tensors: torch.cat(tensors, axis)


def _conv(given: Given) -> Function:
    given.require(given.attribute("auto_pad", "NOTSET") == "NOTSET", "pads by a rule")
    weight = given.known.get(given.node.inputs[1])
    if weight is None:
        raise Unsupported("Conv takes weights that are computed as it runs")
    dimensions = weight.ndim - 2
    given.require(dimensions in (1, 2), "is neither of one nor of two dimensions")
    one = (1,) * dimensions
    pads = given.attribute("pads", (0,) * (2 * dimensions))
    strides, dilations = given.attribute("strides", one), given.attribute("dilations", one)
    groups = given.attribute("group", 1)
    before, after = pads[:dimensions], pads[dimensions:]
    convolve: Function = F.conv1d if dimensions == 1 else F.conv2d
    if before == after:
        return lambda x, w, b=None: convolve(x, w, b, strides, before, dilations, groups)
    # torch pads from the last axis backwards.
    around = [size for pair in zip(before, after, strict=True) for size in pair]
    around = [size for axis in reversed(range(dimensions)) for size in around[2 * axis :][:2]]
    return lambda x, w, b=None: convolve(F.pad(x, around), w, b, strides, 0, dilations, groups)


def _depth_to_space(given: Given) -> Function:
    size = given.attribute("blocksize", 0)
    given.require(given.attribute("mode", "DCR") == "CRD", "is not of the order CRD")
    return lambda x: F.pixel_shuffle(x, size)


def _gather(given: Given) -> Function:
    axis = given.attribute("axis", 0)
    indices = given.known.get(given.node.inputs[1])
    if indices is None:
        raise Unsupported("Gather takes indices that are computed as it runs")
    if indices.ndim == 0:
        index = int(indices)
        return lambda x, _: x.select(axis, index)

    def take(x: Tensor, where: Tensor) -> Tensor:
        at = axis % x.ndim
        flat = torch.remainder(where, x.shape[at]).flatten()
        shape = (*x.shape[:at], *where.shape, *x.shape[at + 1 :])
        return x.index_select(at, flat).reshape(shape)

    return take


def _divided(x: Tensor, by: Tensor) -> Tensor:
    """Of whole numbers ONNX takes the whole part."""
    return torch.div(x, by, rounding_mode=None if x.is_floating_point() else "trunc")


def _largest(first: Tensor, *others: Tensor) -> Tensor:
    return functools.reduce(torch.maximum, others, first)


def _least(first: Tensor, *others: Tensor) -> Tensor:
    return functools.reduce(torch.minimum, others, first)


def _gemm(given: Given) -> Function:
    alpha, beta = given.attribute("alpha", 1.0), given.attribute("beta", 1.0)
    turn_a, turn_b = bool(given.attribute("transA", 0)), bool(given.attribute("transB", 0))

    def multiply(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = (a.T if turn_a else a) @ (b.T if turn_b else b)
        product = product if alpha == 1.0 else product * alpha
        return product if c is None else product + (c if beta == 1.0 else c * beta)

    return multiply


def _leaky_relu(given: Given) -> Function:
    slope = given.attribute("alpha", 0.01)
    return lambda x: torch.nn.functional.leaky_relu(x, slope)


def _softmax(given: Given) -> Function:
    axis = given.attribute("axis", -1)
    return lambda x: torch.softmax(x, axis)


def _reduce(what: str) -> Callable[[Given], Function]:
    reduce: Function = {"mean": torch.mean, "sum": torch.sum}[what]

    def build(given: Given) -> Function:
        axes = given.values(1)
        if axes is None:
            axes = list(given.attribute("axes", ()))
        keep = bool(given.attribute("keepdims", 1))
        given.require(bool(axes), "names no axes")
        return lambda x, *_: reduce(x, axes, keepdim=keep)

    return build


def _reshape(given: Given) -> Function:
    sizes = given.values(1)
    zero_copies = not given.attribute("allowzero", 0)

    def reshape(x: Tensor, *_: Tensor) -> Tensor:
        shape = [
            x.shape[axis] if size == 0 and zero_copies else size
            for axis, size in enumerate(sizes or ())
        ]
        return x.reshape(shape)

    return reshape


def _slice(given: Given) -> Function:
    starts, ends = given.values(1) or [], given.values(2) or []
    axes = given.values(3)
    axes = list(range(len(starts))) if axes is None else axes
    steps = given.values(4)
    steps = [1] * len(starts) if steps is None else steps
    given.require(len(starts) == len(ends) == len(axes) == len(steps), "differs in its lengths")
    given.require(all(step > 0 for step in steps), "runs backwards")
    cuts = list(zip(axes, starts, ends, steps, strict=True))

    def cut(x: Tensor, *_: Tensor) -> Tensor:
        window = [slice(None)] * x.ndim
        for axis, start, end, step in cuts:
            window[axis] = slice(start, end, step)
        return x[tuple(window)]

    return cut


def _split(given: Given) -> Function:
    axis, parts = given.attribute("axis", 0), len(given.node.outputs)
    sizes = given.values(1)

    def split(x: Tensor, *_: Tensor) -> Sequence[Tensor]:
        if sizes is not None:
            return torch.split(x, sizes, axis)
        return torch.split(x, -(-x.shape[axis] // parts), axis)

    return split


def _squeeze(given: Given) -> Function:
    axes = given.values(1)
    given.require(bool(axes), "names no axes")
    return lambda x, *_: x.squeeze(tuple(axes or ()))


def _unsqueeze(given: Given) -> Function:
    axes = given.values(1) or []

    def unsqueeze(x: Tensor, *_: Tensor) -> Tensor:
        rank = x.ndim + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze


def _transpose(given: Given) -> Function:
    order = given.attribute("perm", ())
    return lambda x: x.permute(order or tuple(reversed(range(x.ndim))))


OPERATORS: Mapping[str, Callable[[Given], Function]] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "AveragePool": pictures.average_pool,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": pictures.conv_transpose,
    "Cos": _plain(torch.cos),
    "DepthToSpace": _depth_to_space,
    "Div": _plain(_divided),
    "Exp": _plain(torch.exp),
    "Gather": _gather,
    "Gemm": _gemm,
    "GridSample": pictures.grid_sample,
    "InstanceNormalization": pictures.instance_norm,
    "LeakyRelu": _leaky_relu,
    "MatMul": _plain(torch.matmul),
    "Max": _plain(_largest),
    "MaxPool": pictures.max_pool,
    "Min": _plain(_least),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "PRelu": _plain(lambda x, slope: torch.where(x >= 0, x, x * slope)),
    "Pad": pictures.pad,
    "Pow": _plain(torch.pow),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum"),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Resize": pictures.resize,
    "Round": _plain(torch.round),  # both round halves to even
    "Sigmoid": _plain(torch.sigmoid),
    "Sin": _plain(torch.sin),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
