"""The memory that a batch of frames goes through on a device, allocated once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from visavis.engines.cuda.device import Device, Memory
from visavis.engines.cuda.layout import BATCH, MESHES, SHOT
from visavis.engines.cuda.resident import ResidentPerson
from visavis.engines.planes import PLANES
from visavis.engines.warp import field_shape
from visavis.engines.warp_kernels import phases

__all__ = ["Buffers", "FrameShape", "Room"]

_ALIGN = 256


@dataclass(frozen=True, slots=True)
class FrameShape:
    """What persons must have in common to share a batch.

    Attributes:
        width, height: of a frame, even.
        size: S of the crop.
    """

    width: int
    height: int
    size: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of a picture, I420."""
        return self.width * self.height * 3 // 2


@dataclass(frozen=True, slots=True)
class Room:
    """What the largest of several persons needs; see `resident.ResidentPerson`."""

    vertices: int = 1
    components: int = 1
    triangles: int = 1
    looks_bytes: int = 1

    def with_person(self, person: ResidentPerson) -> Room:
        """Return what that person needs, too."""
        return Room(
            max(self.vertices, person.vertices),
            max(self.components, person.components),
            max(self.triangles, person.triangles),
            max(self.looks_bytes, person.looks_bytes),
        )


class Buffers:
    """Memory of the device for batches up to a size, and the `layout.BATCH` that says where it is.

    Args:
        device: whose.
        shape: of every frame.
        room: frames in a batch, at most.
        person: what the largest person needs.

    Attributes:
        at: where each array begins; "shots" and `coefficients` stand together, as they are one
            upload of up to `upload_bytes`, the first `shots_bytes` of which are shots.
        constants: what is to be uploaded once, by where.

    Raises:
        DeviceMemoryFull: the device has no room.
    """

    def __init__(self, device: Device, shape: FrameShape, room: int, person: Room) -> None:
        half = shape.size // 2
        rows, columns = field_shape(shape.width, shape.height)
        crop = shape.size * shape.size
        weights = phases()
        self.shots_bytes = room * SHOT.itemsize
        self.upload_bytes = self.shots_bytes + 4 * room * person.components
        sizes = {
            "shots": self.upload_bytes,
            "phases": weights.nbytes,
            "batch": BATCH.itemsize,
            "field": 16 * room * rows * columns,
            "vertices": 12 * room * person.vertices,
            "cover": 4 * room * MESHES * (crop + half * half),
            "looks": room * person.looks_bytes,
            "planes": 4 * room * PLANES * half * half,
            "y": room * crop,
            "u": room * half * half,
            "v": room * half * half,
            "frames": room * shape.frame_bytes,
        }
        ends = itertools.accumulate(-(-size // _ALIGN) * _ALIGN for size in sizes.values())
        starts = dict(zip(sizes, (0, *ends), strict=False))
        self.nbytes = max(starts[name] + size for name, size in sizes.items())
        self._memory: Memory = device.allocate(self.nbytes)
        self.at = {name: self._memory.pointer + start for name, start in starts.items()}
        self.coefficients = self.at["shots"] + self.shots_bytes
        row = np.zeros((), BATCH)
        for name in BATCH.names or ():
            if name in self.at:
                row[name] = self.at[name]
        row["coefficients"] = self.coefficients
        row["width"], row["height"], row["size"] = shape.width, shape.height, shape.size
        row["field_rows"], row["field_columns"] = rows, columns
        row["vertex_room"], row["looks_room"] = person.vertices, person.looks_bytes
        self.constants = {
            self.at["batch"]: row.reshape(1).view(np.uint8),
            self.at["phases"]: weights.reshape(-1).view(np.uint8),
        }

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
