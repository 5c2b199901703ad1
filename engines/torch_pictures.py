"""Operators of ONNX on pictures, in torch: pooling, resizing, sampling, padding.

See `torch_operators`; https://onnx.ai/onnx/operators/ (operator sets 13 to 23).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from visavis.engines.torch_given import Function, Given, Unsupported

__all__ = [
    "average_pool",
    "conv_transpose",
    "grid_sample",
    "instance_norm",
    "max_pool",
    "pad",
    "resize",
]


def conv_transpose(given: Given) -> Function:
    """ConvTranspose of one or two dimensions, its padding the same on both sides."""
    given.require(given.attribute("auto_pad", "NOTSET") == "NOTSET", "pads by a rule")
    given.require("output_shape" not in given.node.attributes, "asks for a shape")
    weight = given.known.get(given.node.inputs[1])
    if weight is None:
        raise Unsupported("ConvTranspose takes weights that are computed as it runs")
    dimensions = weight.ndim - 2
    given.require(dimensions in (1, 2), "is neither of one nor of two dimensions")
    one = (1,) * dimensions
    pads = given.attribute("pads", (0,) * (2 * dimensions))
    before, after = pads[:dimensions], pads[dimensions:]
    given.require(before == after, "pads its sides differently")
    strides, dilations = given.attribute("strides", one), given.attribute("dilations", one)
    more = given.attribute("output_padding", (0,) * dimensions)
    groups = given.attribute("group", 1)
    convolve: Function = F.conv_transpose1d if dimensions == 1 else F.conv_transpose2d
    return lambda x, w, b=None: convolve(x, w, b, strides, before, more, groups, dilations)


def _pool(given: Given) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]:
    """Kernel, strides, padding of one side, and whether the last window may reach out."""
    given.require(given.attribute("auto_pad", "NOTSET") == "NOTSET", "pads by a rule")
    kernel = given.attribute("kernel_shape", ())
    size = len(kernel)
    given.require(size in (1, 2), "is neither of one nor of two dimensions")
    dilations = given.attribute("dilations", (1,) * size)
    given.require(tuple(dilations) == (1,) * size, "skips pixels")
    pads = given.attribute("pads", (0,) * (2 * size))
    given.require(pads[:size] == pads[size:], "pads its sides differently")
    strides = given.attribute("strides", (1,) * size)
    return kernel, strides, pads[:size], bool(given.attribute("ceil_mode", 0))


def max_pool(given: Given) -> Function:
    """MaxPool, without the places."""
    given.require(len(given.node.outputs) == 1, "is asked for places")
    kernel, strides, pads, ceil = _pool(given)
    pool: Function = F.max_pool1d if len(kernel) == 1 else F.max_pool2d
    return lambda x: pool(x, kernel, strides, pads, ceil_mode=ceil)


def average_pool(given: Given) -> Function:
    """AveragePool."""
    kernel, strides, pads, ceil = _pool(given)
    counts = bool(given.attribute("count_include_pad", 0))
    pool: Function = F.avg_pool1d if len(kernel) == 1 else F.avg_pool2d
    return lambda x: pool(x, kernel, strides, pads, ceil, counts)


def resize(given: Given) -> Function:
    """Resize of the last axes by whole numbers: nearest as torch does it, or linear."""
    mode = given.attribute("mode", "nearest")
    corners = given.attribute("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        for name, wanted in (
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", "floor"),
        ):
            found = given.attribute(name, "")
            given.require(found == wanted, f"is not of the {name} {wanted!r}")
    else:
        given.require(mode == "linear", f"is of the mode {mode!r}")
        given.require(corners in _CORNERS, f"places its corners by {corners!r}")
        given.require(not given.attribute("antialias", 0), "smooths")
    scales, sizes = given.values(2), given.values(3)
    given_sizes = scales or sizes or []
    given.require(len(given_sizes) in (3, 4), "names neither scales nor sizes of its axes")
    last = given_sizes[2:]
    if scales:
        given.require(
            scales[:2] == [1, 1] and all(s >= 1 and s == int(s) for s in last),
            "is not by whole numbers in the last two axes",
        )
    how = mode if mode == "nearest" else ("linear" if len(last) == 1 else "bilinear")
    aligned = None if mode == "nearest" else _CORNERS[corners]

    def run(x: Tensor, *_: Tensor) -> Tensor:
        if scales:
            return F.interpolate(
                x, scale_factor=[float(s) for s in last], mode=how, align_corners=aligned
            )
        return F.interpolate(x, size=[int(s) for s in last], mode=how, align_corners=aligned)

    return run


_CORNERS = {"align_corners": True, "half_pixel": False, "pytorch_half_pixel": False}


def grid_sample(given: Given) -> Function:
    """GridSample of pictures."""
    mode = given.attribute("mode", "linear")
    names = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest"}
    given.require(mode in names, f"is of the mode {mode!r}")
    padding = given.attribute("padding_mode", "zeros")
    aligned = bool(given.attribute("align_corners", 0))
    return lambda x, grid: F.grid_sample(x, grid, names[mode], padding, aligned)


def instance_norm(given: Given) -> Function:
    """InstanceNormalization."""
    epsilon = given.attribute("epsilon", 1e-5)
    return lambda x, scale, shift: F.instance_norm(x, weight=scale, bias=shift, eps=epsilon)


def pad(given: Given) -> Function:
    """Pad of the last one or two axes, by numbers that are known."""
    mode = given.attribute("mode", "constant")
    names = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    given.require(mode in names, f"is of the mode {mode!r}")
    given.require(not given.has(3), "names its axes")
    pads = given.values(1)
    given.require(bool(pads), "names no pads")
    rank = len(pads or ()) // 2
    before, after = (pads or [])[:rank], (pads or [])[rank:]
    around = [size for axis in reversed(range(rank)) for size in (before[axis], after[axis])]
    if mode != "constant":
        given.require(not any(around[4:]), "repeats more than the last two axes")
        around = around[:4]
    value = given.values(2)
    fill = float(value[0]) if value and mode == "constant" else 0.0
    options = {"value": fill} if mode == "constant" else {}
    return lambda x, *_: F.pad(x, around, names[mode], **options)
