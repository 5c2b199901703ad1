"""What of a person lies on the device: tables, textures, and all frames of the clip, decoded.

Uploaded once and never changed, so every session of every thread reads the same memory. A clip is
kept whole: the walk may jump anywhere, and decoding on the host would cost more than all the rest.
A clip that is larger than its budget is refused, as half a clip is of no use.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.background import Background
from visavis.engines.clip import Clip
from visavis.engines.composite import Feather
from visavis.engines.cuda.device import Device, Memory
from visavis.engines.cuda.layout import PERSON
from visavis.engines.device import DeviceGraph
from visavis.engines.errors import EngineError
from visavis.engines.person import Person

__all__ = ["CLIP_BUDGET_BYTES", "ResidentPerson"]

CLIP_BUDGET_BYTES = 2 << 30
_ALIGN = 256
_CHUNK_BYTES = 16 << 20
_SERIALS = itertools.count()

U8 = NDArray[np.uint8]


class ResidentPerson:
    """One person on a device, until nobody knows this object any more or `close` is called.

    Args:
        device: where.
        person: who.
        background: the person's background stage.
        feather: the person's composite stage.
        graph: the person's renderer, ready to run on the device.
        takes_coefficients: the renderer does.
        clip_budget_bytes: what the decoded clip may take.

    Attributes:
        serial: tells this person apart from all others that are or were on a device.
        pointer: address of the person's `layout.PERSON`.
        size: S of the crop.
        vertices, components, triangles: of the mesh; triangles of all three.
        looks_bytes: of the appearance, I420.
        eye_boxes: left, top, width, height of the eyes, of each frame that has a blink.
        graph, takes_coefficients: as given. `lock` guards the graph, and `used` is a mark behind
            its last run: whatever the streams, its runs come one after the other.
        nbytes: what all of it takes, without the network.

    Raises:
        EngineError: the clip is larger than its budget, or cannot be decoded.
        DeviceMemoryFull: the device has no room.
    """

    def __init__(
        self,
        device: Device,
        person: Person,
        background: Background,
        feather: Feather,
        graph: DeviceGraph,
        *,
        takes_coefficients: bool = False,
        clip_budget_bytes: int = CLIP_BUDGET_BYTES,
    ) -> None:
        geometry, raster, behind = (
            person.stage_parts(stage) for stage in ("geometry", "raster", "background")
        )
        frame_bytes = person.width * person.height * 3 // 2
        count = len(background.walk.pose)
        if count * frame_bytes > clip_budget_bytes:
            raise EngineError(
                f"The clip of {person.name!r} takes {count * frame_bytes >> 20} MiB on a GPU, and "
                f"one person's may take {clip_budget_bytes >> 20}."
            )
        self.name = person.name
        self.serial = next(_SERIALS)
        self.graph = graph
        self.takes_coefficients = takes_coefficients
        self.lock = threading.Lock()
        self.used: Any = None
        self.eye_boxes = {
            index: (*patch.corner.astype(int).tolist(), patch.y.shape[1], patch.y.shape[0])
            for index, patch in background.eyes.items()
        }
        tables = _tables(geometry, raster, behind, feather)
        raster_params = person.stages["raster"].params
        grid = person.stages["background"].params["grid"]
        row = _describe(tables, float(raster_params["lip_reach"]), grid, raster)
        self.size = len(tables["hidden"])
        self.vertices, self.components = int(row["vertices"]), int(row["components"])
        self.triangles = int(row["faces"].sum())
        self.looks_bytes = int(tables["appearance_mean"].nbytes)

        starts, small = _places(tables)
        self.nbytes = small + count * frame_bytes
        self._memory: list[Memory] = [device.allocate(small)]
        self._free = weakref.finalize(self, _free, self._memory)
        self._free.atexit = False  # when the process ends, its device may be gone already
        self.pointer = self._memory[0].pointer
        try:
            self._memory.append(device.allocate(count * frame_bytes))
            for name, start in starts.items():
                if name in (PERSON.names or ()):
                    row[name] = self.pointer + start
            row["pictures"] = [self.pointer + starts[f"picture_{k}"] for k in range(3)]
            row["frames"] = self._memory[1].pointer
            packed = np.zeros(small, np.uint8)
            packed[: PERSON.itemsize] = row.reshape(1).view(np.uint8)
            for name, start in starts.items():
                flat = tables[name].reshape(-1).view(np.uint8)
                packed[start : start + flat.size] = flat
            self._upload(device, packed, Clip(_video(behind), budget=0))
        except BaseException:
            self.close()
            raise

    def _upload(self, device: Device, packed: U8, clip: Clip) -> None:
        """Copy the tables and then the frames, a piece at a time."""
        frame_bytes = clip.width * clip.height * 3 // 2
        each = max(1, _CHUNK_BYTES // frame_bytes)
        stream = device.stream()
        staging = device.pin(max(packed.size, each * frame_bytes))
        try:
            staging.array[: packed.size] = packed
            stream.upload(self.pointer, staging.array[: packed.size])
            stream.wait()
            for first in range(0, len(clip), each):
                held = range(first, min(first + each, len(clip)))
                for place, index in enumerate(held):
                    start = place * frame_bytes
                    staging.array[start : start + frame_bytes] = clip.frame(index).reshape(-1)
                where = self._memory[1].pointer + first * frame_bytes
                stream.upload(where, staging.array[: len(held) * frame_bytes])
                stream.wait()
        finally:
            stream.close()
            staging.close()

    def close(self) -> None:
        """Give the memory back; nothing may use it any more. Calling it again does nothing."""
        self._free()


def _free(memory: list[Memory]) -> None:
    while memory:
        memory.pop().close()


def _video(parts: Mapping[str, Any]) -> bytes:
    video: bytes = parts["video"]
    return video


def _tables(
    geometry: Mapping[str, Any],
    raster: Mapping[str, Any],
    background: Mapping[str, Any],
    feather: Feather,
) -> dict[str, NDArray[np.generic]]:
    """Return all arrays that kernels read, by name, in the types that they read."""
    luma, chroma = feather.masks
    floats = {
        "mean": geometry["mean"],
        "basis": geometry["basis"],
        "uv": raster["uv"],
        "open_uv": raster["appearance_uv"],
        "appearance_scale": raster["appearance_scale"],
        "depth": background["depth"],
        # The same arithmetic as in `warp.HeadWarp`.
        "follow": np.asarray(background["follow"], np.float32) / np.float32(255),
        "torso": np.asarray(background["torso"], np.float32) / np.float32(255),
        "poses": background["pose"],
        "eyes": background["eyes"],
    }
    meshes = ("triangles", "upper_triangles", "lower_triangles")
    integers = {
        "triangles": np.concatenate([raster[name] for name in meshes]),
        "lips": raster["lips"],
    }
    octets = {
        **{f"picture_{k}": raster[name] for k, name in enumerate(("texture", "upper", "lower"))},
        "appearance_mean": raster["appearance_mean"],
        "hidden": raster["mask"],
        "feather": luma,
        "chroma_feather": chroma,
    }
    return {
        **{name: np.ascontiguousarray(value, np.float32) for name, value in floats.items()},
        **{name: np.ascontiguousarray(value, np.int32) for name, value in integers.items()},
        **{name: np.ascontiguousarray(value, np.uint8) for name, value in octets.items()},
        "appearance_basis": np.ascontiguousarray(raster["appearance_basis"], np.int8),
    }


def _describe(
    tables: Mapping[str, NDArray[np.generic]],
    reach: float,
    grid: Any,
    raster: Mapping[str, Any],
) -> NDArray[np.void]:
    """Return the person's `PERSON` without addresses."""
    row = np.zeros((), PERSON)
    row["eyes"] = tables["eyes"]
    row["place"] = np.asarray(grid, np.float32)
    row["reach"] = reach
    row["vertices"] = len(tables["mean"])
    row["components"] = len(tables["basis"])
    row["contour"] = len(tables["lips"])
    row["faces"] = [
        len(raster[name]) for name in ("triangles", "upper_triangles", "lower_triangles")
    ]
    row["sizes"] = [_luma(tables[f"picture_{k}"]) for k in range(3)]
    row["appearance"] = _luma(tables["appearance_mean"])
    row["grid"] = tables["depth"].shape
    return row


def _luma(picture: NDArray[np.generic]) -> tuple[int, int]:
    rows, width = picture.shape
    return rows * 2 // 3, width


def _places(tables: Mapping[str, NDArray[np.generic]]) -> tuple[dict[str, int], int]:
    """Return where each table begins behind the person's `PERSON`, and the bytes of all."""
    starts, end = {}, PERSON.itemsize
    for name, table in tables.items():
        if name == "eyes":
            continue
        starts[name] = -(-end // _ALIGN) * _ALIGN
        end = starts[name] + table.nbytes
    return starts, end
