"""The motion network as one ONNX file, and the entries for it in a person file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from visavis.engines.motion import MOVES
from visavis.models.motion import CHANNELS, ROWS, STEPS, Motion, MotionStep

__all__ = ["export_motion", "motion_graph", "motion_stage", "verify_motion", "write_motion"]

OPSET = 20


def _names(motion: Motion) -> tuple[list[str], list[str]]:
    count = len(motion.state_shapes())
    return (
        ["features"] + [f"state_{i}" for i in range(count)],
        ["tract"] + [f"next_state_{i}" for i in range(count)],
    )


def export_motion(motion: Motion) -> bytes:
    """The network's one-tick form as ONNX, weights inside, batch dimension free.

    Args:
        motion: trained; it is put into evaluation.

    Returns:
        the file. Inputs `features` f32[N, 4, F], `state_i` f32[N, ...]; outputs `tract`
        f32[N, H, 2, 9], a head per look-ahead, with probabilities (not logits) in the last three
        channels, and `next_state_i`.
    """
    step = MotionStep(motion.eval())
    features = torch.zeros(2, ROWS, motion.config.features)
    inputs, outputs = _names(motion)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter's own deprecations are not ours to act on.
        warnings.simplefilter("ignore")
        batch = torch.export.Dim("batch", min=1, max=1024)
        program = torch.onnx.export(
            step,
            (features, *motion.initial_state(2)),
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            # The states are variadic: they come as one tuple.
            dynamic_shapes=({0: batch}, tuple({0: batch} for _ in inputs[1:])),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing.")
    onnx.save_model(program.model_proto, buffer)
    return buffer.getvalue()


def verify_motion(graph: bytes, motion: Motion, *, batch: int = 3, ticks: int = 40) -> float:
    """Runs graph and network side by side with carried state; gives the largest difference."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    rows = rng.normal(0.0, 1.5, (batch, ticks * ROWS, motion.config.features)).astype(np.float32)
    with torch.no_grad():
        want, _, _, _ = motion.eval()(torch.from_numpy(rows), motion.initial_state(batch))
        want[..., MOVES:] = torch.sigmoid(want[..., MOVES:])
    _, outputs = _names(motion)
    state = [s.numpy() for s in motion.initial_state(batch)]
    worst = 0.0
    for k in range(ticks):
        feed = {"features": rows[:, k * ROWS : (k + 1) * ROWS]}
        feed |= {f"state_{i}": s for i, s in enumerate(state)}
        tract, *state = session.run(outputs, feed)
        worst = max(
            worst, float(np.abs(tract - want[:, :, k * STEPS : (k + 1) * STEPS].numpy()).max())
        )
    return worst


def motion_graph(motion: Motion) -> dict[str, Any]:
    """The entry under `graphs` in person.json."""
    inputs, outputs = _names(motion)
    states = [["N", *shape] for shape in motion.state_shapes()]
    heads = len(motion.config.lookaheads)
    return {
        "inputs": dict(zip(inputs, [["N", ROWS, motion.config.features], *states], strict=True)),
        "outputs": dict(zip(outputs, [["N", heads, STEPS, CHANNELS], *states], strict=True)),
        "state": [list(pair) for pair in zip(inputs[1:], outputs[1:], strict=True)],
        "variants": {"fp32": "motion.fp32.onnx"},
    }


def motion_stage(motion: Motion, *, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The entry under `stages` in person.json; `params` are differences from `tract@2`'s own."""
    return {
        "op": "tract@2",
        "params": {
            "graph": "motion",
            "state": [list(shape) for shape in motion.state_shapes()],
            "lookaheads": list(motion.config.lookaheads),
            **(params or {}),
        },
        "parts": {name: f"motion/{name}.npy" for name in ("rest", "map", "closed", "liptooth")},
    }


def write_motion(
    motion: Motion,
    folder: Path,
    parts: Mapping[str, NDArray[np.float32]],
    *,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes what a person's export packs: the graph, the four parts, and `stage.json`.

    Returns:
        what `stage.json` holds: `stages` (audio, motion) and `graphs` (motion), for person.json.

    Raises:
        RuntimeError: when the graph does not compute what the network does.
    """
    import json

    graph = export_motion(motion)
    worst = verify_motion(graph, motion)
    if worst > 1e-5:
        raise RuntimeError(f"The exported motion graph is off by {worst:.1e}.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "motion.fp32.onnx").write_bytes(graph)
    for name, value in parts.items():
        np.save(folder / f"{name}.npy", np.asarray(value, np.float32), allow_pickle=False)
    entries = {
        "stages": {
            "audio": {"op": "logmel@1", "params": {}},
            "motion": motion_stage(motion, params=params),
        },
        "graphs": {"motion": motion_graph(motion)},
    }
    (folder / "stage.json").write_text(json.dumps(entries, indent=1) + "\n")
    return entries
