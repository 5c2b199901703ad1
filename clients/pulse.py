"""The sound of a Linux desktop: PulseAudio's own programs, which PipeWire has, too.

A microphone is read with `parec`, and the avatar's voice is played with `pacat` into a null sink,
whose monitor other programs take for a microphone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator

from visavis.clients.errors import ClientError

__all__ = ["MAKE_SINK", "SINK", "Microphone", "Speaker"]

RATE = 48_000
PIECE_BYTES = 1920  # 20 ms
LATENCY_MS = 40
PIPE_BYTES = 4096
SINK = "visavis"
MAKE_SINK = (
    f"pactl load-module module-null-sink sink_name={SINK} "
    "sink_properties=device.description=visavis"
)
_F_SETPIPE_SZ = 1031  # Linux


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ClientError(
            f"{name} is not installed: apt-get install pulseaudio-utils (it speaks to PipeWire, "
            "too). Or do without: --no-sound for a camera, --silent or --audio to publish."
        )
    return path


class Microphone:
    """Pieces of 20 ms of a microphone, PCM16 at 48 kHz.

    Args:
        device: a source of `pactl list short sources`; the default one where None.
    """

    def __init__(self, device: str | None = None) -> None:
        self._device = device

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give them as they come, until it is closed.

        Raises:
            ClientError: there is no such device, or no program to read it.
        """
        command = [
            *(_program("parec"), "--raw", "--format=s16le", f"--rate={RATE}", "--channels=1"),
            f"--latency-msec={LATENCY_MS // 2}",
            *([] if self._device is None else [f"--device={self._device}"]),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None and process.stderr is not None
        try:
            while True:
                try:
                    yield await process.stdout.readexactly(PIECE_BYTES)
                except asyncio.IncompleteReadError:
                    break
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise ClientError(f"The microphone cannot be read: {said or 'it ended'}.")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Speaker:
    """Plays PCM16 at 48 kHz; what does not fit is left out, so that the delay cannot grow.

    Args:
        sink: of `pactl list short sinks`.

    Attributes:
        dropped: pieces that were left out.
    """

    def __init__(self, sink: str = SINK) -> None:
        self._sink = sink
        self._process: asyncio.subprocess.Process | None = None
        self._pipe = -1
        self.dropped = 0

    async def open(self) -> None:
        """Begin.

        Raises:
            ClientError: there is no such sink; the message says how to make one.
        """
        listing = await asyncio.create_subprocess_exec(
            *(_program("pactl"), "list", "short", "sinks"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        sinks, _ = await listing.communicate()
        if self._sink not in (line.split("\t")[1] for line in sinks.decode().splitlines() if line):
            raise ClientError(
                f"There is no sound device {self._sink!r} for the avatar's voice. Make one:\n"
                f"    {MAKE_SINK}\n"
                f'and choose "Monitor of {self._sink}" as the microphone in your call.'
            )
        read, self._pipe = os.pipe()
        fcntl.fcntl(self._pipe, _F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._pipe, False)
        self._process = await asyncio.create_subprocess_exec(
            *(_program("pacat"), "--playback", "--raw", "--format=s16le", f"--rate={RATE}"),
            *("--channels=1", f"--latency-msec={LATENCY_MS}", f"--device={self._sink}"),
            stdin=read,
            stderr=asyncio.subprocess.DEVNULL,
        )
        os.close(read)

    def play(self, pcm16: bytes) -> None:
        """Play a piece, or leave it out where the device is behind."""
        try:
            if os.write(self._pipe, pcm16) < len(pcm16):
                self.dropped += 1
        except BlockingIOError:
            self.dropped += 1
        except BrokenPipeError as error:
            raise ClientError("The sound device for the avatar's voice is gone.") from error

    async def close(self) -> None:
        """End; may be called again."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
            self._process = None
