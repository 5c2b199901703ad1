"""`visavis publish` as a program: a session with a server on one side, a service on the other."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from visavis.clients.errors import ClientError, Refused
from visavis.clients.events import CodedPicture, CodedVoice
from visavis.clients.looks import Look, take_look
from visavis.clients.publish.backoff import Backoff
from visavis.clients.publish.publisher import Publisher, PublishStats
from visavis.clients.publish.whip import Whip, plain_address
from visavis.clients.session import AvatarSession

__all__ = ["Options", "VoiceSource", "publish", "run"]

RATE = 48_000
REPORT_SECONDS = 30.0
TAIL_SECONDS = 1.0
"""What was said last is on its way yet when a sound file ends."""


class VoiceSource(Protocol):
    """A microphone, or what stands in its place."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give PCM16 at 48 kHz as it comes."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is published, and to where."""

    url: str
    server: str
    bearer: str | None = None
    person: str | None = None
    token: str | None = None
    codec: str = "h264"
    key_seconds: float = 2.0
    look: Look = field(default_factory=lambda: Look({}))


def run(
    options: Options, source: VoiceSource | None, *, say: Callable[[str], None]
) -> PublishStats:
    """Publish until Ctrl-C, or until the source ends.

    Args:
        options: see there.
        source: what the person says; None for a face at rest.
        say: called with sentences for who started it.

    Raises:
        ClientError: the server or the service is not there, or says no.
    """
    return asyncio.run(_until_stopped(options, source, say))


async def _until_stopped(
    options: Options, source: VoiceSource | None, say: Callable[[str], None]
) -> PublishStats:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return await publish(options, source, stopped, say=say)


async def publish(
    options: Options,
    source: VoiceSource | None,
    stopped: asyncio.Event,
    *,
    say: Callable[[str], None] = lambda sentence: None,
) -> PublishStats:
    """As `run`, on a loop that is there, until `stopped` is set."""
    whip = Whip(options.url, options.bearer)
    publisher = Publisher(
        options.url, whip, options.codec, key_seconds=options.key_seconds, say=say
    )
    tasks: list[asyncio.Task[None]] = []
    try:
        tasks = [
            asyncio.create_task(_sessions(options, source, publisher, say)),
            asyncio.create_task(_report(publisher.stats, say)),
            asyncio.create_task(_wait(stopped)),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)
        await whip.aclose()
    return publisher.stats


async def _wait(stopped: asyncio.Event) -> None:
    await stopped.wait()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _sessions(
    options: Options,
    source: VoiceSource | None,
    publisher: Publisher,
    say: Callable[[str], None],
) -> None:
    """One session after the other; the service keeps its connection in between.

    Returns when the source has ended.
    """
    backoff, publishing, opened = Backoff(), None, False
    try:
        while True:
            began, wait = time.monotonic(), None
            try:
                async with await _open(options) as session:
                    if publishing is None:
                        say(f"{session.person} goes to {plain_address(options.url)}.")
                        publishing = asyncio.create_task(publisher.run())
                    if opened:
                        publisher.another_session()
                        say("The avatar's server is there again.")
                    opened = True
                    began = time.monotonic()
                    await _relay(session, source, publisher, publishing)
                    return
            except _Lost as error:
                sentence = str(error)
            except Refused as error:
                if not opened or error.status not in (0, 429, 502, 503):
                    raise
                sentence, wait = str(error), error.retry_after
            except ClientError as error:
                if not opened or (publishing is not None and publishing.done()):
                    raise
                sentence = str(error)
            backoff.held(time.monotonic() - began)
            seconds = backoff.failed(wait)
            say(f"{sentence} Asking the avatar's server again in {seconds:.0f} s.")
            await asyncio.sleep(seconds)
    finally:
        if publishing is not None:
            await _end([publishing])


class _Lost(Exception):
    """The session with the avatar's server is over, and another one may be had."""


async def _open(options: Options) -> AvatarSession:
    session = await AvatarSession.open(
        options.server,
        person=options.person,
        token=options.token,
        rate=RATE,
        live=True,
        codec=options.codec,
    )
    try:
        await take_look(session, options.look, options.server, options.token)
    except BaseException:
        await session.close()
        raise
    return session


async def _relay(
    session: AvatarSession,
    source: VoiceSource | None,
    publisher: Publisher,
    publishing: asyncio.Task[None],
) -> None:
    """Go on until the source ends.

    Raises:
        _Lost: the session is over.
        ClientError: the service says no, or the source cannot be read.
    """
    taking = asyncio.create_task(_take(session, publisher))
    listening = None if source is None else asyncio.create_task(_listen(session, source))
    own = [task for task in (taking, listening) if task is not None]
    try:
        await asyncio.wait([*own, publishing], return_when=asyncio.FIRST_COMPLETED)
        if publishing.done():
            publishing.result()
        if taking.done():
            taking.result()
        if listening is not None and listening.done():
            listening.result()
            await asyncio.wait([taking, publishing], timeout=TAIL_SECONDS)
    finally:
        await _end(own)


async def _listen(session: AvatarSession, source: VoiceSource) -> None:
    async with contextlib.aclosing(source.pieces()) as pieces:
        async for piece in pieces:
            try:
                await session.speak(piece)
            except ClientError as error:
                raise _Lost(str(error)) from error


async def _take(session: AvatarSession, publisher: Publisher) -> None:
    try:
        async for event in session:
            if isinstance(event, CodedPicture | CodedVoice):
                publisher.put(event)
                if publisher.wants_key_frame():
                    await session.want_key_frame()
    except ClientError as error:
        raise _Lost(str(error)) from error
    raise _Lost("The avatar's server has ended the session.")


async def _report(stats: PublishStats, say: Callable[[str], None]) -> None:
    """Say what was sent, once in a while."""
    pictures, sent = 0, 0
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        rate = (stats.sent_bytes - sent) * 8 / 1000 / REPORT_SECONDS
        each = (stats.pictures - pictures) / REPORT_SECONDS
        say(f"{each:.1f} pictures a second, {rate:.0f} kbit/s with the voice.")
        pictures, sent = stats.pictures, stats.sent_bytes
