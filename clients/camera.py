"""The avatar as this machine's camera and microphone, for programs that know nothing of it.

The real microphone goes to a server; the face that comes back is written to a virtual camera, and
the voice to a sound device that other programs take for a microphone.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.clients.errors import ClientError
from visavis.clients.playout import Playout
from visavis.clients.session import AvatarSession, Picture, Voice

__all__ = ["Camera", "CameraStats", "VoiceIn", "VoiceOut", "open_camera", "show"]

RATE = 48_000
LOOK_S = 0.005


class Camera(Protocol):
    """A virtual camera."""

    def show(self, i420: NDArray[np.uint8]) -> None:
        """Show a picture, uint8[H * 3 / 2, W]."""

    def close(self) -> None:
        """Give the device back."""


class VoiceIn(Protocol):
    """A microphone."""

    def pieces(self) -> AsyncIterator[bytes]:
        """Give PCM16 at 48 kHz as it comes."""


class VoiceOut(Protocol):
    """Where the voice goes."""

    def play(self, pcm16: bytes) -> None:
        """Play 20 ms, or leave them out."""


@dataclass(slots=True)
class CameraStats:
    """What became of the pictures."""

    shown: int = 0
    dropped: int = 0


_ABSENT = {
    "linux": (
        "There is no virtual camera. Install and load one:\n"
        "    sudo apt-get install v4l2loopback-dkms\n"
        '    sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label="visavis"'
    ),
    "darwin": (
        "There is no virtual camera. Install OBS (30 or newer), start its virtual camera once, "
        "and close it."
    ),
    "win32": ("There is no virtual camera. Install OBS (27 or newer), which brings one."),
}


class _PyVirtualCam:
    def __init__(self, camera: Any) -> None:
        self._camera = camera

    def show(self, i420: NDArray[np.uint8]) -> None:
        self._camera.send(np.ascontiguousarray(i420))

    def close(self) -> None:
        self._camera.close()


def open_camera(
    width: int, height: int, fps: int, *, device: str | None = None, backend: str | None = None
) -> Camera:
    """Open a virtual camera.

    Args:
        width, height, fps: of its pictures.
        device: of several; any where None.
        backend: of pyvirtualcam; the platform's own where None.

    Raises:
        ClientError: there is none; the message says how to make one here.
    """
    try:
        import pyvirtualcam
    except ImportError as error:
        raise ClientError("This needs pyvirtualcam: pip install 'visavis[camera]'.") from error
    try:
        camera = pyvirtualcam.Camera(
            width, height, fps, fmt=pyvirtualcam.PixelFormat.I420, device=device, backend=backend
        )
    except (RuntimeError, ValueError, OSError) as error:
        hint = _ABSENT.get(sys.platform, "There is no virtual camera.")
        raise ClientError(f"{hint}\n({error})") from error
    return _PyVirtualCam(camera)


async def show(
    session: AvatarSession,
    camera: Camera,
    microphone: VoiceIn | None,
    speaker: VoiceOut | None,
    *,
    stats: CameraStats | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Go on until the session or the microphone ends.

    Args:
        session: live.
        camera: for the face.
        microphone: what the person says; None for nobody.
        speaker: for the voice; None for nobody.
        stats: counts what was shown.
        clock: seconds, monotonic.

    Raises:
        ClientError: the connection, the microphone or the sound device is gone.
    """
    counts = CameraStats() if stats is None else stats
    playout: Playout[NDArray[np.uint8]] = Playout()
    tasks = [
        asyncio.create_task(_take(session, playout, speaker, clock)),
        asyncio.create_task(_show(playout, camera, counts, clock)),
    ]
    if microphone is not None:
        tasks.append(asyncio.create_task(_listen(session, microphone)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _listen(session: AvatarSession, microphone: VoiceIn) -> None:
    async for piece in microphone.pieces():
        await session.speak(piece)


async def _take(
    session: AvatarSession,
    playout: Playout[NDArray[np.uint8]],
    speaker: VoiceOut | None,
    clock: Callable[[], float],
) -> None:
    async for event in session:
        if isinstance(event, Picture):
            playout.put(event.pts_s, event.i420, clock())
        elif isinstance(event, Voice):
            playout.came(event.pts_s, clock())
            if speaker is not None:
                levels = np.clip(event.pcm, -1.0, 1.0) * 32767
                speaker.play(levels.astype("<i2").tobytes())
    raise ClientError("The session has ended.")


async def _show(
    playout: Playout[NDArray[np.uint8]],
    camera: Camera,
    stats: CameraStats,
    clock: Callable[[], float],
) -> None:
    while True:
        picture = playout.due(clock())
        stats.dropped = playout.dropped
        if picture is not None:
            await asyncio.to_thread(camera.show, picture)
            stats.shown += 1
        await asyncio.sleep(LOOK_S)
