"""A batch of frames on a device: one upload, the kernels and the renderers, one download.

Sessions of several persons stand in one batch, sorted by person: picture, geometry, raster and
composite are one launch each for all of them, the renderer is one launch a person. It gets its
planes as one stretch of memory, so a renderer that takes the weights of each frame as an input
(`models/shared_batch.py`) can take the place of several launches without anything else changing.

What is launched depends on who is in the batch and not on what they say, so it is captured into a
CUDA graph when it comes the second time: the whole of it where the batch is of one person whose
network allows that, otherwise what stands before and behind the networks.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.cuda.buffers import Buffers, FrameShape, Room
from visavis.engines.cuda.device import Device, Dim, HostMemory
from visavis.engines.cuda.layout import MESHES, SHOT
from visavis.engines.cuda.leases import Lease, Leases
from visavis.engines.cuda.resident import ResidentPerson
from visavis.engines.device import DeviceArray
from visavis.engines.planes import PLANES
from visavis.engines.walk import FrameChoice
from visavis.engines.warp import field_shape

__all__ = ["FrameBatch", "Shot"]

MAX_GRAPHS = 256  # captured, a batch object; the one not used for longest goes

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame that is to be made.

    Attributes:
        person: whose.
        coefficients: f32[C], finite.
        choice: what stands behind the mouth, and how the head is held.
    """

    person: ResidentPerson
    coefficients: F32
    choice: FrameChoice


class FrameBatch:
    """Makes one batch at a time, on a stream of its own. For one thread at a time.

    Args:
        device: where.
        shape: of every frame.
        room: frames in a batch, at most.
        leases: memory that pictures are handed out in, of `room` frames each.

    Attributes:
        nbytes: memory of the device that it takes.
        captured: CUDA graphs that it holds.
    """

    def __init__(self, device: Device, shape: FrameShape, room: int, leases: Leases) -> None:
        self._device = device
        self._shape = shape
        self._room = room
        self._leases = leases
        self._stream = device.stream()
        self._spare: HostMemory = device.pin(room * shape.frame_bytes)
        self._person = Room()
        self._buffers: Buffers | None = None
        self._packed: HostMemory | None = None
        self._graphs: OrderedDict[tuple[Hashable, ...], Any] = OrderedDict()
        self._pending: tuple[Lease, list[int]] | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self._buffers is None else self._buffers.nbytes

    @property
    def captured(self) -> int:
        return sum(graph is not None for graph in self._graphs.values())

    def admit(self, person: ResidentPerson) -> None:
        """Make room for a person, when they are loaded; that may allocate.

        Raises:
            DeviceMemoryFull: the device has no room.
        """
        room = self._person.with_person(person)
        if self._buffers is not None and room == self._person:
            return
        self._stream.wait()
        fresh = Buffers(self._device, self._shape, self._room, room)
        packed = self._device.pin(fresh.upload_bytes)
        self._forget()
        self._person, self._buffers, self._packed = room, fresh, packed
        for pointer, constant in fresh.constants.items():
            staging = self._device.pin(constant.size)
            staging.array[:] = constant
            self._stream.upload(pointer, staging.array)
            self._stream.wait()
            staging.close()

    def submit(self, shots: Sequence[Shot]) -> None:
        """Begin a batch of 1 to `room` frames of admitted persons, after the last was collected.

        Raises:
            EngineError: a network does not run.
            DeviceLost: the device failed.
        """
        assert self._buffers is not None and self._packed is not None and self._pending is None
        assert 0 < len(shots) <= self._room
        order = sorted(range(len(shots)), key=lambda index: shots[index].person.pointer)
        ready = [shots[index] for index in order]
        used = self._pack(ready, self._packed.array, self._buffers)
        lease = self._leases.lend(self._spare)
        stream, buffers = self._stream, self._buffers
        stream.upload(buffers.at["shots"], self._packed.array[:used])
        self._run(ready)
        stream.download(
            lease.block.array[: len(shots) * self._shape.frame_bytes], buffers.at["frames"]
        )
        self._pending = lease, order

    def collect(self) -> list[U8]:
        """Wait for the batch and return its pictures, uint8[H*3/2, W], in the order of the shots.

        Raises:
            DeviceLost: the device failed.
        """
        assert self._pending is not None
        (lease, order), self._pending = self._pending, None
        self._stream.wait()
        height, width = self._shape.height, self._shape.width
        pictures = lease.take((len(order), height * 3 // 2, width))
        found = dict(zip(order, pictures, strict=True))
        return [found[index] for index in range(len(order))]

    def abandon(self) -> None:
        """Wait for whatever a failed batch left on the stream; its pictures are lost."""
        self._pending = None
        self._stream.wait()

    def close(self) -> None:
        """Wait, and give everything back."""
        self._stream.close()
        self._forget()
        self._spare.close()

    def _forget(self) -> None:
        self._graphs.clear()
        for held in (self._buffers, self._packed):
            if held is not None:
                held.close()
        self._buffers = self._packed = None

    def _pack(self, shots: Sequence[Shot], out: U8, buffers: Buffers) -> int:
        """Write what the kernels read of a batch; return how many bytes are used."""
        count = len(shots)
        rows = out[: buffers.shots_bytes].view(SHOT)[:count]
        choices = [shot.choice for shot in shots]
        ends = list(itertools.accumulate(len(shot.coefficients) for shot in shots))
        rows["person"] = [shot.person.pointer for shot in shots]
        rows["pose"] = [choice.pose.ravel() for choice in choices]
        rows["breath"] = [choice.breath for choice in choices]
        rows["frames"] = [(*choice.frames, -1)[:2] for choice in choices]
        rows["share"] = [round(256 * choice.share) for choice in choices]
        rows["origin"] = [choice.origin for choice in choices]
        rows["coefficients"] = (0, *ends[:-1])
        rows["eye_frame"] = [-1 if choice.eyes is None else choice.eyes[0] for choice in choices]
        for row, shot in zip(rows, shots, strict=True):
            if shot.choice.eyes is not None:
                index, row["eye_share"] = shot.choice.eyes
                row["eye_box"] = shot.person.eye_boxes[index]
        end = buffers.shots_bytes + 4 * ends[-1]
        values = out[buffers.shots_bytes : end].view(np.float32)
        np.concatenate([shot.coefficients for shot in shots], out=values)
        return end

    def _run(self, shots: Sequence[Shot]) -> None:
        """Put a batch on the stream, from graphs that were captured where there are any."""
        count = len(shots)
        parts: list[tuple[ResidentPerson, int, int]] = []
        for person, several in itertools.groupby(shots, key=lambda shot: shot.person):
            first = parts[-1][2] if parts else 0
            parts.append((person, first, first + sum(1 for _ in several)))
        only = parts[0][0]
        capture_key = only.graph.capture_key if len(parts) == 1 else None
        if capture_key is not None:
            whole = ("whole", count, only.serial, capture_key)
            with self._turn(only):
                self._captured(whole, lambda: self._all(only, count))
            return
        self._captured(("before", count), lambda: self._before(count))
        at_coefficients = 0
        for person, first, last in parts:
            with self._turn(person):
                self._render(person, first, last, at_coefficients)
            at_coefficients += (last - first) * person.components
        self._captured(("after", count), lambda: self._after(count))

    @contextmanager
    def _turn(self, person: ResidentPerson) -> Iterator[None]:
        """Have a person's network to oneself: it may keep what it computes with in one place."""
        with person.lock:
            if person.used is not None:
                self._stream.after(person.used)
            try:
                yield
            finally:
                person.used = self._stream.mark()

    def _captured(self, key: tuple[Hashable, ...], work: Callable[[], None]) -> None:
        """Do what was captured; what comes the first time is done as it is, to warm it up."""
        if key not in self._graphs:
            self._graphs[key] = None
            if len(self._graphs) > MAX_GRAPHS:
                self._graphs.popitem(last=False)
            work()
            return
        self._graphs.move_to_end(key)
        if self._graphs[key] is None:
            self._graphs[key] = self._stream.capture(work)
        self._stream.replay(self._graphs[key])

    def _all(self, person: ResidentPerson, count: int) -> None:
        self._before(count)
        self._render(person, 0, count, 0)
        self._after(count)

    def _before(self, count: int) -> None:
        """Everything up to the renderer's planes."""
        shape, person = self._shape, self._person
        half = shape.size // 2
        rows, columns = field_shape(shape.width, shape.height)
        covered = MESHES * (shape.size * shape.size + half * half)
        self._launch("head_field", (rows * columns, 2), (128, 1), count)
        self._launch("warp_picture", (shape.width, shape.height * 3 // 2), (32, 8), count)
        self._launch("place_vertices", (person.vertices, 1), (128, 1), count)
        self._launch("mix_looks", (person.looks_bytes, 1), (256, 1), count)
        self._launch("clear_cover", (covered, 1), (256, 1), count)
        self._launch("cover_pixels", (32 * person.triangles, 2), (32, 1), count)
        self._launch("draw_planes", (half, half), (32, 4), count)

    def _after(self, count: int) -> None:
        size = self._shape.size
        self._launch("paste_crop", (size, size), (32, 8), count)

    def _launch(
        self, kernel: str, threads: tuple[int, int], block: tuple[int, int], count: int
    ) -> None:
        assert self._buffers is not None
        grid: Dim = -(-threads[0] // block[0]), -(-threads[1] // block[1]), count
        self._stream.launch(kernel, grid, (*block, 1), self._buffers.at["batch"])

    def _render(self, person: ResidentPerson, first: int, last: int, coefficients: int) -> None:
        """Run a person's network on the frames from `first` to `last`, which lie side by side.

        Args:
            coefficients: where theirs begin, in numbers.
        """
        assert self._buffers is not None
        at, size, count = self._buffers.at, self._shape.size, last - first
        half = size // 2
        feeds = {"planes": _stretch(at["planes"], first, (count, PLANES, half, half), np.float32)}
        if person.takes_coefficients:
            where = self._buffers.coefficients + 4 * coefficients
            feeds["coefficients"] = _stretch(where, 0, (count, person.components), np.float32)
        outputs = {
            "y": _stretch(at["y"], first, (count, size, size), np.uint8),
            "u": _stretch(at["u"], first, (count, half, half), np.uint8),
            "v": _stretch(at["v"], first, (count, half, half), np.uint8),
        }
        person.graph.enqueue(feeds, outputs, self._stream.handle)


def _stretch(
    pointer: int, first: int, shape: tuple[int, ...], dtype: type[np.generic]
) -> DeviceArray:
    """Return the rows from `first` on of an array whose rows have the shape's other axes."""
    kind = np.dtype(dtype)
    row = int(np.prod(shape[1:])) * kind.itemsize
    return DeviceArray(pointer + first * row, shape, kind)
