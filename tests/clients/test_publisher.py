"""What is kept up of a publication: tries, waits, key frames, and a timeline without a seam."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.clients.errors import ClientError, Refused
from visavis.clients.events import CodedPicture, CodedVoice
from visavis.clients.publish.backoff import FIRST_S, HELD_S, MOST_S, Backoff
from visavis.clients.publish.links import IceServer
from visavis.clients.publish.publisher import ASK_AGAIN_SECONDS, Publisher
from visavis.clients.publish.whip import Published

RELAY = IceServer("turn:relay.example", "u", "p")
FULL = Refused(503, "It is full.", 7.0)


class Peer:
    """A connection that is made or not, and ends when it is told."""

    def __init__(self, *, connects: bool = True, **options: Any) -> None:
        self.options = options
        self.dropped = 0
        self.sent: list[tuple[str, bytes, int]] = []
        self.takes = True
        self.closed = 0
        self.ended = asyncio.Event()
        self._connects = connects

    async def offer(self) -> str:
        return "v=0"

    async def accept(self, answer: str) -> None:
        if answer != "v=0":
            raise ClientError("The service's answer cannot be followed: it is none.")

    async def until(self, *states: str) -> str:
        if states == ("connected",):
            return "connected" if self._connects else "failed"
        await self.ended.wait()
        return "closed"

    def put_voice(self, data: bytes, pts: int) -> None:
        self.sent.append(("voice", data, pts))

    def put_face(self, data: bytes, pts: int) -> bool:
        self.sent.append(("face", data, pts))
        return self.takes

    async def close(self) -> None:
        self.closed += 1


class Service:
    """Answers in turn; then always yes."""

    def __init__(self, *answers: Exception | Published) -> None:
        self.answers = list(answers)
        self.ends = 0

    async def publish(self, offer: str) -> Published:
        answer = self.answers.pop(0) if self.answers else Published("v=0", "/1", ())
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def end(self, published: Published) -> bool:
        self.ends += 1
        return True


class Rig:
    """A publisher whose time stands still, with peers that connect or do not."""

    def __init__(self, *answers: Exception | Published, connects: list[bool] | None = None) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.said: list[str] = []
        self.peers: list[Peer] = []
        self.service = Service(*answers)
        self._connects = connects or []
        self.publisher = Publisher(
            "https://live.example/whip",
            self.service,  # type: ignore[arg-type]
            "h264",
            say=self.said.append,
            clock=lambda: self.now,
            sleep=self._sleep,
            new_peer=self._peer,  # type: ignore[arg-type]
        )

    def _peer(self, codec: str, **options: Any) -> Peer:
        connects = self._connects.pop(0) if self._connects else True
        self.peers.append(Peer(connects=connects, **options))
        return self.peers[-1]

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def run(self, then: Callable[[], Any]) -> None:
        """Let it publish until something holds."""
        task = asyncio.create_task(self.publisher.run())
        for _ in range(200):
            if task.done() or then():
                break
            await asyncio.sleep(0)
        assert task.done() or then()
        if task.done():
            task.result()
        self.task = task

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


def picture(number: int, key: bool = False) -> CodedPicture:
    return CodedPicture(1920 * number, b"%d" % number, key)


async def test_a_full_service_is_asked_again_when_it_says() -> None:
    rig = Rig(FULL, FULL)
    await rig.run(lambda: rig.publisher.stats.connections)
    assert rig.slept == [7.0, 7.0]
    assert rig.said[0] == "It is full. Trying again in 7 s."
    assert [peer.closed for peer in rig.peers] == [1, 1, 0]
    await rig.stop()
    assert rig.peers[-1].closed == 1 and rig.service.ends == 1, "it is told goodbye"


@pytest.mark.parametrize(
    "error", [Refused(401, "No."), Refused(404, "No."), Refused(409, "No."), ClientError("No.")]
)
async def test_what_is_wrong_at_the_start_ends_it(error: ClientError) -> None:
    rig = Rig(error)
    with pytest.raises(type(error), match=r"No\."):
        await rig.run(lambda: False)
    assert rig.slept == [] and rig.peers[0].closed == 1


async def test_once_published_the_same_is_waited_out() -> None:
    rig = Rig(Published("v=0", "/1", ()), ClientError("Down."), Refused(409, "Taken."))
    await rig.run(lambda: rig.publisher.stats.connections)
    rig.peers[0].ended.set()
    for _ in range(100):
        await asyncio.sleep(0)
    assert rig.publisher.stats.connections == 2
    assert rig.slept == [1.0, 2.0, 4.0]
    assert rig.said[-1].startswith("Connected again")
    await rig.stop()


async def test_a_token_that_ends_meanwhile_ends_it() -> None:
    rig = Rig(Published("v=0", "/1", ()), Refused(401, "No."))
    await rig.run(lambda: rig.publisher.stats.connections)
    rig.peers[0].ended.set()
    with pytest.raises(Refused):
        await asyncio.wait_for(rig.task, 1)


async def test_relays_that_came_with_the_answer_are_tried_next() -> None:
    offered = Published("v=0", "/1", (RELAY,))
    rig = Rig(offered, offered, connects=[False, True])
    await rig.run(lambda: rig.publisher.stats.connections)
    assert [peer.options["servers"] for peer in rig.peers] == [(), (RELAY,)]
    assert rig.service.ends == 1, "the one that led nowhere is ended"
    await rig.stop()
    for rig in (Rig(connects=[False]), Rig(offered, offered, connects=[False, False])):
        with pytest.raises(ClientError, match="no way to it"):
            await rig.run(lambda: False)


async def test_an_answer_that_cannot_be_followed_is_ended_too() -> None:
    rig = Rig(Published("nonsense", "/1", ()))
    with pytest.raises(ClientError, match="cannot be followed"):
        await rig.run(lambda: False)
    assert rig.service.ends == 1 and rig.peers[0].closed == 1


async def test_nothing_is_sent_that_refers_to_what_was_not() -> None:
    rig = Rig()
    publisher = rig.publisher
    publisher.put(picture(0, key=True))
    assert not publisher.wants_key_frame(), "nobody would see it"
    await rig.run(lambda: publisher.stats.connections)
    (peer,) = rig.peers
    publisher.put(picture(1))
    publisher.put(CodedVoice(1920, b"v"))
    assert [kind for kind, *_ in peer.sent] == ["voice"] and publisher.stats.waiting == 2
    assert publisher.wants_key_frame() and not publisher.wants_key_frame(), "asked once"
    rig.now += ASK_AGAIN_SECONDS
    assert publisher.wants_key_frame(), "until it comes"
    publisher.put(picture(2, key=True))
    publisher.put(picture(3))
    assert [data for kind, data, _ in peer.sent if kind == "face"] == [b"2", b"3"]
    peer.takes = False  # one had to go
    publisher.put(picture(4))
    publisher.put(picture(5))
    assert peer.sent[-1][1] == b"4"
    rig.now += ASK_AGAIN_SECONDS
    assert publisher.wants_key_frame()
    await rig.stop()


async def test_key_frames_come_in_time_and_when_they_are_asked_for() -> None:
    rig = Rig()
    publisher = rig.publisher
    await rig.run(lambda: publisher.stats.connections)
    asked = []
    key = False
    for number in range(250):
        rig.now = number / 32
        publisher.put(picture(number, key=key))
        if number == 150:
            rig.peers[0].options["want_key_frame"]()
        if key := publisher.wants_key_frame():
            asked.append(number)
    # It is there a picture after it was asked for, and two seconds pass.
    assert asked == [0, 65, 130, 150, 215]
    await rig.stop()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**7), st.floats(0.001, 1000.0))
def test_another_session_goes_on_where_the_first_one_was(
    first: int, second: int, gap: float
) -> None:
    async def scene() -> None:
        rig = Rig()
        publisher = rig.publisher
        await rig.run(lambda: publisher.stats.connections)
        publisher.put(CodedVoice(first, b"a"))
        rig.now += gap
        publisher.another_session()
        publisher.put(CodedVoice(second, b"b"))
        publisher.put(CodedPicture(second + 960, b"c", True))
        (_, _, a), (_, _, b), (_, _, c) = rig.peers[0].sent
        assert a == first and c - b == 960
        assert abs((b - a) - max(0.02, gap) * 48_000) <= 1
        await rig.stop()

    asyncio.run(scene())


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=30))
def test_waits_grow_and_are_bounded(asked: list[float | None]) -> None:
    backoff = Backoff()
    waits = [backoff.failed(one) for one in asked]
    for number, (wait, one) in enumerate(zip(waits, asked, strict=True)):
        own = min(MOST_S, FIRST_S * 2**number)
        assert wait == max(own, min(one or 0.0, 600.0))
    backoff.held(HELD_S - 0.1)
    assert backoff.failed() == min(MOST_S, FIRST_S * 2 ** len(asked))
    backoff.held(HELD_S)
    assert backoff.failed() == FIRST_S
