"""What lies where in the memory that an engine and a worker share.

Each session has two pieces. The **input** is written by the worker and read by the engine: a ring
of samples, and where `clear` was called. The **output** is written by the engine and read by the
worker: three slots for pictures, and the session's counters. So every field has one writer. All
numbers are little-endian; positions only grow, and what they mean modulo something is worked out by
whoever reads them.

::

    input                                        output
    0     header, one INPUT record               0     header, one OUTPUT record
    4096  float32[RING_SAMPLES], sample n at     4096  SLOTS pictures, each from a multiple of
          n % RING_SAMPLES                             4096: uint8[H * 3 / 2, W], and of a person
                                                       with a matte uint8[H, W] after it

A change of this module that old and new code would not both understand is a new `VERSION`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.engines.errors import EngineError
from visavis.engines.timeline import MAX_PENDING_SAMPLES

__all__ = [
    "INPUT",
    "INPUT_SIZE",
    "MAGIC",
    "MAX_SIDE",
    "OUTPUT",
    "PAGE",
    "RING_SAMPLES",
    "SLOTS",
    "VERSION",
    "OutputLayout",
    "frame_bytes",
    "picture_bytes",
]

MAGIC = 0x0153_4956_4153_4956  # "VISAVIS" and a one, read as bytes
VERSION = 3
PAGE = 4096
SLOTS = 3
# As much as a session's timeline keeps, so that the same sound is lost in both shapes of an engine.
RING_SAMPLES = MAX_PENDING_SAMPLES
MAX_SIDE = 2048

INPUT = np.dtype(
    [
        ("magic", "<u8"),
        ("version", "<u8"),
        ("reserved", "<u8"),  # samples that are written or are being written
        ("written", "<u8"),  # samples that are written
        ("generation", "<u8"),  # calls of `clear` since the session was opened in this engine
        ("cleared_at", "<u8"),  # samples that were written when `clear` was called last
    ]
)
_SLOT = np.dtype(
    [
        ("sequence", "<u8"),  # 2n - 1 while frame n is written, 2n when it is
        ("index", "<u8"),
        ("generation", "<u8"),
        ("speech", "<f8"),
        ("alpha", "<u8"),  # 1 where the frame has one
    ]
)
OUTPUT = np.dtype(
    [
        ("magic", "<u8"),
        ("version", "<u8"),
        ("width", "<u8"),
        ("height", "<u8"),
        ("matte", "<u8"),  # 1 where there is room for alpha
        ("published", "<u8"),  # n of the newest frame; the first is 1
        ("stats_sequence", "<u8"),  # odd while the counters are written
        ("skipped", "<u8"),
        ("discarded", "<u8"),
        ("dropped_samples", "<u8"),
        ("engine_ms_p50", "<f8"),
        ("engine_ms_p95", "<f8"),
        ("slots", _SLOT, (SLOTS,)),
    ]
)
INPUT_SIZE = PAGE + RING_SAMPLES * 4


def picture_bytes(width: int, height: int) -> int:
    """Return the size of an I420 picture.

    Raises:
        EngineError: there is no such picture.
    """
    if not (2 <= width <= MAX_SIDE and 2 <= height <= MAX_SIDE) or width % 2 or height % 2:
        raise EngineError(f"A picture of {width}x{height} cannot be shared.")
    return width * height * 3 // 2


def frame_bytes(width: int, height: int, matte: bool) -> int:
    """Return the size of an I420 picture, and of its alpha where there is a matte.

    Raises:
        EngineError: there is no such picture.
    """
    return picture_bytes(width, height) + (width * height if matte else 0)


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """Where the pictures of a session lie.

    Args:
        width, height: of the person's frame.
        matte: the person has one: there is room for alpha.

    Raises:
        EngineError: there is no such picture.
    """

    width: int
    height: int
    matte: bool = False

    def __post_init__(self) -> None:
        picture_bytes(self.width, self.height)

    @property
    def stride(self) -> int:
        """Bytes from one slot to the next."""
        return -(-frame_bytes(self.width, self.height, self.matte) // PAGE) * PAGE

    @property
    def size(self) -> int:
        """Bytes of the whole piece."""
        return PAGE + SLOTS * self.stride

    def slot(self, number: int) -> slice:
        """Bytes of a slot's picture."""
        start = PAGE + number * self.stride
        return slice(start, start + picture_bytes(self.width, self.height))

    def alpha(self, number: int) -> slice:
        """Bytes of a slot's alpha; none where there is no matte."""
        end = PAGE + number * self.stride + frame_bytes(self.width, self.height, self.matte)
        return slice(self.slot(number).stop, end)
