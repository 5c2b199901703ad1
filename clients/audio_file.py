"""A sound file in a microphone's place: it is heard at the pace of time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import av

from visavis.clients.errors import ClientError

__all__ = ["AudioFile"]

RATE = 48_000
PIECE = 960  # samples, 20 ms
READ_PIECES = 50
"""How many are decoded at a time."""


class AudioFile:
    """Pieces of 20 ms of a file, PCM16 at 48 kHz, mono; the last one is filled with silence.

    Args:
        path: a file that FFmpeg reads; the first sound in it is taken.
        loop: begin again at its end, for ever.
    """

    def __init__(self, path: str | Path, *, loop: bool = False) -> None:
        self._path, self._loop = Path(path), loop

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give each piece when its time has come; what is late comes at once.

        Raises:
            ClientError: it cannot be read, or there is no sound in it.
        """
        clock = asyncio.get_running_loop().time
        begin, number = clock(), 0
        while True:
            decoded = self._decode()
            first = number
            while some := await asyncio.to_thread(list, itertools.islice(decoded, READ_PIECES)):
                for piece in some:
                    await asyncio.sleep(max(0.0, begin + number * PIECE / RATE - clock()))
                    number += 1
                    yield piece
            if number == first:
                raise ClientError(f"There is no sound in {self._path}.")
            if not self._loop:
                return

    def _decode(self) -> Iterator[bytes]:
        waiting = bytearray()
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        try:
            with av.open(str(self._path)) as file:
                if not file.streams.audio:
                    return
                for frame in itertools.chain(file.decode(audio=0), [None]):
                    for part in resampler.resample(frame):
                        waiting += part.to_ndarray().tobytes()
                    while len(waiting) >= 2 * PIECE:
                        yield bytes(waiting[: 2 * PIECE])
                        del waiting[: 2 * PIECE]
        except (OSError, av.FFmpegError) as error:
            raise ClientError(f"{self._path} cannot be read as sound: {error}.") from error
        if waiting:
            yield bytes(waiting).ljust(2 * PIECE, b"\0")
