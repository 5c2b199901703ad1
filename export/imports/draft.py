"""What a system's importer makes: everything of a person file but its packing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

__all__ = ["VIDEO", "Draft"]

VIDEO = "background.mp4"  # the part that `write` encodes of `Draft.frames`


@dataclass(slots=True)
class Draft:
    """A person before it is written.

    Attributes:
        stages: "stages" of person.json; the background's video is `VIDEO`.
        graphs: "graphs" of person.json, made by `onnx_graph`.
        parts: by name: arrays by `npy.dump_array`, networks as ONNX.
        frames: RGB uint8[H, W, 3], the footage. What is odd of a size is cut off.
        lookahead_ms: of a session that asks for none.
        contains_licensed: the reason why the file must not be given on; None where there is none.
        notices: what must go with copies.
        controls: "controls" of person.json; {} where there is nothing to choose.
        made_by: of person.json; `write` adds the tool.
        modules: by graph: the torch network with the names of its inputs and outputs, in the order
            in which `forward` takes and gives them, states included. What has none is not compared.
        mouth: x0, y0, x1, y1 of the mouth in the crop, in pixels of what the renderer gives.
    """

    stages: dict[str, dict[str, Any]]
    graphs: dict[str, dict[str, Any]]
    parts: dict[str, bytes]
    frames: Sequence[NDArray[np.uint8]]
    lookahead_ms: int
    mouth: tuple[int, int, int, int]
    contains_licensed: str | None = None
    notices: str = ""
    controls: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, tuple[nn.Module, list[str], list[str]]] = field(default_factory=dict)
