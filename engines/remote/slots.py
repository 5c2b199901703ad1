"""Pictures from the engine to a worker: three slots with one writer and one reader, and no lock.

Frame n, counted from 1, lies in slot n % 3. Policy 'overwrite oldest': the writer never waits, so a
reader that is slower than three frames misses some, and counts them. Each slot is a seqlock: its
sequence is odd while it is written, and a reader that finds another one after its copy than before
it throws the copy away.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame
from visavis.engines.errors import EngineError
from visavis.engines.remote.layout import MAGIC, OUTPUT, SLOTS, VERSION, OutputLayout
from visavis.engines.remote.memory import fence

__all__ = ["SlotReader", "SlotWriter"]

U8 = NDArray[np.uint8]
_MAX_INDEX = 1 << 48


class SlotWriter:
    """The engine's end; for one thread at a time.

    Args:
        memory: uint8[layout.size], new and zero.
        layout: where things lie.
    """

    def __init__(self, memory: U8, layout: OutputLayout) -> None:
        header = memory[: OUTPUT.itemsize].view(OUTPUT)
        self._shape = (layout.height * 3 // 2, layout.width)
        self._pictures = [memory[layout.slot(n)].reshape(self._shape) for n in range(SLOTS)]
        self._alphas = _alphas(memory, layout)
        # Setting an element of these is one aligned store, which no reader sees by halves.
        self._published_field = header["published"]
        self._sequence = header["slots"]["sequence"][0]
        self._slots = header["slots"][0]
        self._published = 0
        header["width"], header["height"] = layout.width, layout.height
        header["matte"] = layout.matte
        header["version"] = VERSION
        header["magic"] = MAGIC

    def write(
        self, index: int, generation: int, i420: U8, speech: float, alpha: U8 | None = None
    ) -> None:
        """Publish a frame.

        Raises:
            EngineError: the picture is not what the person's frame is.
        """
        if i420.shape != self._shape or i420.dtype != np.uint8:
            raise EngineError(f"A picture of {i420.shape} is not one of {self._shape}.")
        if alpha is not None and (
            not self._alphas or alpha.shape != self._alphas[0].shape or alpha.dtype != np.uint8
        ):
            raise EngineError(f"There is no room for an alpha of {alpha.shape}.")
        number = self._published + 1
        place = number % SLOTS
        slot = self._slots[place]
        self._sequence[place] = 2 * number - 1
        fence()
        np.copyto(self._pictures[place], i420)
        if alpha is not None:
            np.copyto(self._alphas[place], alpha)
        slot["index"], slot["generation"], slot["speech"] = index, generation, speech
        slot["alpha"] = alpha is not None
        fence()
        self._sequence[place] = 2 * number
        fence()
        self._published_field[0] = number
        self._published = number


class SlotReader:
    """The worker's end; for one thread at a time.

    Args:
        memory: uint8[layout.size].
        layout: where things should lie.

    Attributes:
        missed: frames that were overwritten before they were read.

    Raises:
        EngineError: the memory is not laid out so.
    """

    def __init__(self, memory: U8, layout: OutputLayout) -> None:
        self.missed = 0
        header = memory[: OUTPUT.itemsize].view(OUTPUT)
        shape = (layout.height * 3 // 2, layout.width)
        self._pictures = [memory[layout.slot(n)].reshape(shape) for n in range(SLOTS)]
        self._alphas = _alphas(memory, layout)
        self._published = header["published"]
        self._sequence = header["slots"]["sequence"][0]
        self._slots = header["slots"][0]
        self._read = 0
        names = ("magic", "version", "width", "height", "matte")
        found = [int(header[name][0]) for name in names]
        if found != [MAGIC, VERSION, layout.width, layout.height, layout.matte]:
            raise EngineError("The engine's memory is laid out in another way.")

    def take(self) -> list[Frame]:
        """Return the frames that are new, oldest first; pictures are fresh arrays.

        Raises:
            EngineError: the engine has damaged its memory.
        """
        published = int(self._published[0])
        if not self._read <= published < _MAX_INDEX:
            raise EngineError("The engine's memory is damaged: its count of frames runs backwards.")
        fence()
        first = max(self._read + 1, published - SLOTS + 1)
        self.missed += first - self._read - 1
        frames = []
        for number in range(first, published + 1):
            frame = self._one(number)
            if frame is None:
                self.missed += 1
            else:
                frames.append(frame)
        self._read = published
        return frames

    def newest(self) -> tuple[U8, U8 | None] | None:
        """Return what was published last, fresh; for a still.

        A picture, uint8[H * 3 / 2, W], and its alpha, uint8[H, W], where it has one.
        """
        number = int(self._published[0])
        if number == 0:
            return None
        return self._copy(number % SLOTS)

    def _one(self, number: int) -> Frame | None:
        place = number % SLOTS
        slot = self._slots[place]
        if int(self._sequence[place]) != 2 * number:
            return None
        fence()
        picture, alpha = self._copy(place)
        index, generation = int(slot["index"]), int(slot["generation"])
        speech = float(slot["speech"])
        fence()
        if int(self._sequence[place]) != 2 * number:
            return None
        if index >= _MAX_INDEX or generation >= _MAX_INDEX or not math.isfinite(speech):
            raise EngineError("The engine's memory is damaged: a frame has no sensible number.")
        return Frame(index, generation, picture, speech, alpha)

    def _copy(self, place: int) -> tuple[U8, U8 | None]:
        has_alpha = bool(self._alphas) and int(self._slots[place]["alpha"]) != 0
        return self._pictures[place].copy(), self._alphas[place].copy() if has_alpha else None


def _alphas(memory: U8, layout: OutputLayout) -> list[U8]:
    """Return where the slots' alphas lie, uint8[H, W]; nothing where there is no room for them."""
    if not layout.matte:
        return []
    shape = (layout.height, layout.width)
    return [memory[layout.alpha(n)].reshape(shape) for n in range(SLOTS)]
