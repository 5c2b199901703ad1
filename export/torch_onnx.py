"""A torch network as one ONNX file, as every exporter here writes it."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from visavis.engines.errors import PersonFileError

__all__ = ["OPSET", "export_module", "model_bytes"]

OPSET = 20


def export_module(
    module: nn.Module,
    examples: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    what: str,
) -> bytes:
    """Return a network as ONNX, weights inside, batch dimension free.

    Args:
        module: takes tensors in the order of `inputs`, gives one or several in that of `outputs`;
            it is put into evaluation.
        examples: of every input, with a batch of 2.
        what: the network, for messages.

    Raises:
        PersonFileError: the exporter cannot express the network.
    """
    batch = torch.export.Dim("batch", min=1, max=1024)
    # It tells at length that torchvision, which nothing here uses, is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter's own deprecations are not ours to act on.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module.eval(),
                tuple(examples),
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=_free(module, [{0: batch} for _ in inputs]),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            cause = error.__cause__ or error  # what comes before it tells of the exporter's steps
            reason = next(iter(str(cause).splitlines()), type(cause).__name__)[:200]
            raise PersonFileError(f"{what} cannot be exported: {reason.rstrip('.')}.") from error
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing.")
    return model_bytes(program.model_proto)


def _free(module: nn.Module, axes: Sequence[Any]) -> tuple[Any, ...]:
    """Return the free axes of inputs as `forward` takes them: what is variadic is one tuple."""
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return tuple(axes)
    alone = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*axes[:alone], tuple(axes[alone:]))


def model_bytes(proto: onnx.ModelProto) -> bytes:
    """Return the file, without what says where in the source a node came from."""
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    used = {name for node in proto.graph.node for name in node.input}
    for tensor in list(proto.graph.initializer):
        if tensor.name not in used:
            proto.graph.initializer.remove(tensor)
    standard = [opset for opset in proto.opset_import if opset.domain in ("", "ai.onnx")]
    del proto.opset_import[:]
    proto.opset_import.extend(standard)
    proto.ir_version = 10
    buffer = io.BytesIO()
    onnx.save_model(proto, buffer)
    return buffer.getvalue()
