"""What the tests of the kernels stand on: a batch on the simulator that stops where they like.

A `Stand` makes a batch of frames up to the renderer's planes and looks at everything that lies on
the device meanwhile. Its renderer is a network that nobody trained; where a test gives the crop
itself, it is not run at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.engines.cuda.simulator import SimulatedDevice
from visavis.engines import raster_kernels, warp_kernels
from visavis.engines.background import Background
from visavis.engines.composite import Feather
from visavis.engines.cuda.buffers import FrameShape
from visavis.engines.cuda.frames import FrameBatch, Shot
from visavis.engines.cuda.layout import MESHES
from visavis.engines.cuda.leases import Leases
from visavis.engines.cuda.resident import ResidentPerson
from visavis.engines.device import DeviceArray, view_of_host
from visavis.engines.person import Person
from visavis.engines.planes import PLANES, Planes
from visavis.engines.walk import FrameChoice
from visavis.engines.warp import HeadWarp, field_shape

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]


class NoNetwork:
    """Leaves the crop as it is."""

    capture_key = None

    def enqueue(
        self, feeds: Mapping[str, DeviceArray], outputs: Mapping[str, DeviceArray], stream: int
    ) -> None:
        pass


class Cast:
    """A person's stages on the host, and the same person on the device."""

    def __init__(self, device: SimulatedDevice, person: Person) -> None:
        self.person = person
        size = {"width": person.width, "height": person.height}
        parts = person.stage_parts("background")
        params = {**person.stages["background"].params, **size}
        self.background = Background(params, parts)
        self.warp = HeadWarp(params, parts)
        self.planes = Planes(person.stages["raster"].params, person.stage_parts("raster"))
        self.feather = Feather({}, person.stage_parts("composite"))
        self.poses: F32 = self.background.walk.pose
        self.resident = ResidentPerson(device, person, self.background, self.feather, NoNetwork())


class Stand:
    """A batch on the simulator.

    Args:
        device: the simulator.
        persons: whose frames may be asked for.
        room: frames.
    """

    def __init__(
        self, device: SimulatedDevice, persons: Sequence[Person], *, room: int = 8
    ) -> None:
        self.device = device
        self.casts = [Cast(device, person) for person in persons]
        first = self.casts[0]
        self.shape = FrameShape(first.person.width, first.person.height, first.resident.size)
        self.batch = FrameBatch(
            device, self.shape, room, Leases(device, room * self.shape.frame_bytes, 1)
        )
        for cast in self.casts:
            self.batch.admit(cast.resident)

    def draw(self, shots: Sequence[tuple[int, F32, FrameChoice]]) -> None:
        """Run everything before the network; persons, by their numbers, must be in order."""
        ready = [Shot(self.casts[who].resident, weights, choice) for who, weights, choice in shots]
        buffers, packed = self.batch._buffers, self.batch._packed
        assert buffers is not None and packed is not None
        used = self.batch._pack(ready, packed.array, buffers)
        self.batch._stream.upload(buffers.at["shots"], packed.array[:used])
        self.batch._before(len(ready))
        self.batch._stream.wait()
        self.device.check()

    def paste(self, count: int, y: U8, u: U8, v: U8) -> None:
        """Lay crops over what was drawn."""
        for name, plane in (("y", y), ("u", u), ("v", v)):
            self._view(name, plane.shape, np.uint8)[:] = plane
        self.batch._after(count)
        self.batch._stream.wait()
        self.device.check()

    def pictures(self, count: int) -> U8:
        return self._view(
            "frames", (count, self.shape.height * 3 // 2, self.shape.width), np.uint8
        ).copy()

    def planes(self, count: int) -> F32:
        half = self.shape.size // 2
        return self._view("planes", (count, PLANES, half, half), np.float32).copy()

    def field(self, count: int) -> F32:
        rows, columns = field_shape(self.shape.width, self.shape.height)
        return self._view("field", (count, 2, rows, columns, 2), np.float32).copy()

    def vertices(self, count: int) -> F32:
        room = self.batch._person.vertices
        return self._view("vertices", (count, room, 3), np.float32).copy()

    def cover(self, count: int) -> I32:
        """The last triangle on each pixel of luma, int32[count, meshes, S, S]."""
        size = self.shape.size
        each = size * size * 5 // 4
        whole = self._view("cover", (count, MESHES, each), np.int32)
        return whole[:, :, : size * size].reshape(count, MESHES, size, size).copy()

    def _view(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        assert self.batch._buffers is not None
        return view_of_host(DeviceArray(self.batch._buffers.at[name], shape, np.dtype(dtype)))


def with_arrays(person: Person, **arrays: NDArray[Any]) -> Person:
    """Return a person with other parts: `raster__uv` is "raster/uv.npy"."""
    changed = {f"{name.replace('__', '/')}.npy": array for name, array in arrays.items()}
    assert changed.keys() <= person.arrays.keys()
    return dataclasses.replace(person, arrays={**person.arrays, **changed})


KERNELS = {
    raster_kernels: ("_sample", "_setup"),
    warp_kernels: ("_lookup", "_cubic"),
}


def to_the_bit(monkeypatch: Any) -> None:
    """Let the host's kernels run as plain Python, slowly: numba fuses and reorders, this does not.

    What the device computes is then the same to the last bit.
    """
    import visavis.engines.planes as planes
    import visavis.engines.warp as warp

    for module, names in KERNELS.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name).py_func)
    for user, names in (
        (planes, ("draw_luma", "draw_chroma", "lip_distance", "mask_crop", "mix_texture")),
        (warp, ("displacement", "paste_eye", "blend_frames")),
    ):
        for name in names:
            monkeypatch.setattr(user, name, getattr(user, name).py_func)
