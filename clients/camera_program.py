"""`visavis camera` as a program: devices, connection, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from visavis.clients.camera import CameraStats, open_camera, show
from visavis.clients.errors import ClientError
from visavis.clients.looks import Look, take_look
from visavis.clients.pulse import SINK, Microphone, Speaker
from visavis.clients.session import AvatarSession

__all__ = ["run"]

RATE = 48_000


def run(
    server: str,
    *,
    person: str | None = None,
    token: str | None = None,
    device: str | None = None,
    microphone: str | None = None,
    sink: str = SINK,
    sound: bool = True,
    look: Look | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> CameraStats:
    """Be this machine's camera until Ctrl-C.

    Args:
        server: its address.
        person, token: as for `AvatarSession.open`.
        device: the virtual camera, of several.
        microphone, sink: sound devices; see `pulse`.
        sound: listen and speak; otherwise the face is at rest.
        look: what the session looks like; as filmed where None.
        say: called with sentences for who started it.

    Raises:
        ClientError: a device is absent (the message says how to make it), or the server.
    """
    return asyncio.run(_run(server, person, token, device, microphone, sink, sound, look, say))


async def _run(
    server: str,
    person: str | None,
    token: str | None,
    device: str | None,
    microphone: str | None,
    sink: str,
    sound: bool,
    look: Look | None,
    say: Callable[[str], None],
) -> CameraStats:
    stats = CameraStats()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as opened:
        session = await opened.enter_async_context(
            await AvatarSession.open(server, person=person, token=token, rate=RATE, live=True)
        )
        if look is not None:
            await take_look(session, look, server, token)
        camera = open_camera(session.width, session.height, session.fps, device=device)
        opened.callback(camera.close)
        speaker = None
        if sound:
            speaker = Speaker(sink)
            await speaker.open()
            opened.push_async_callback(speaker.close)
        say(f"{session.person} is your camera. Ctrl-C ends it.")
        source = Microphone(microphone) if sound else None
        showing = asyncio.create_task(show(session, camera, source, speaker, stats=stats))
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait([showing, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in (showing, waiting):
            task.cancel()
        results = await asyncio.gather(showing, waiting, return_exceptions=True)
        if isinstance(results[0], ClientError) and not stopped.is_set():
            raise results[0]
    return stats
