"""What leaves over TCP: on any link the delay stays where it was, and what is shed is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.server.ws.framing import Kind, Packet, parse
from visavis.server.ws.outbox import FACE_EXCESS, GIVE_UP, VOICE_EXCESS, Outbox

STEP = 0.020


@dataclass
class Link:
    """TCP with boundless buffers: nothing is lost, everything waits its turn."""

    bytes_per_second: float
    delay: float = 0.02
    free: float = 0.0  # when the last byte is through
    stopped: tuple[float, float] = (0.0, 0.0)
    under_way: list[tuple[float, bytes]] = field(default_factory=list)

    def send(self, message: bytes, now: float) -> None:
        begin = max(now, self.free)
        if self.stopped[0] <= begin < self.stopped[1]:
            begin = self.stopped[1]
        self.free = begin + len(message) / self.bytes_per_second
        self.under_way.append((self.free + self.delay, message))

    def arrived(self, now: float) -> list[tuple[float, bytes]]:
        there = [item for item in self.under_way if item[0] <= now]
        self.under_way = [item for item in self.under_way if item[0] > now]
        return there


@dataclass
class Run:
    outbox: Outbox
    ages: dict[Kind, list[tuple[float, float]]]  # when it came, how old it was
    came: list[Packet]


def run(
    link: Link,
    seconds: float,
    *,
    frame_bytes: int = 4000,
    voice_bytes: int = 100,
    reads: bool = True,
    ahead: int = 0,
) -> Run:
    """Voice every 20 ms and a frame every 40 into an outbox, over a link, with acknowledgements.

    A frame is asked for, encoded, and put ``ahead`` frames later, as the session does.
    """
    outbox = Outbox()
    result = Run(outbox, {Kind.VOICE: [], Kind.FACE: []}, [])
    acks: list[tuple[float, int]] = []
    encoded: list[int] = []  # the steps in which they are put
    key, voices = True, 0
    for step in range(int(seconds / STEP)):
        now = step * STEP
        for at, message in link.arrived(now) if reads else ():
            packet = parse(message)
            result.came.append(packet)
            result.ages[packet.kind].append((at, at - packet.pts / 48_000))
            if packet.kind == Kind.VOICE:
                voices += 1
                if voices % 2 == 0:
                    acks.append((at + link.delay, packet.sequence))
        for at, sequence in [ack for ack in acks if ack[0] <= now]:
            outbox.acknowledged(sequence, at)
        acks = [ack for ack in acks if ack[0] > now]
        outbox.put_voice(bytes(voice_bytes), step * 960, now)
        if step % 2 == 0 and outbox.takes_face(now, len(encoded)):
            encoded.append(step + 2 * ahead)
        while encoded and encoded[0] <= step:
            del encoded[0]
            key = not outbox.put_face(bytes(frame_bytes), step * 960, now, key=key)
        while (message := outbox.next(now)) is not None:
            assert isinstance(message, bytes)
            link.send(message, now)
    return result


def oldest(ages: list[tuple[float, float]], since: float) -> float:
    return max((age for at, age in ages if at >= since), default=0.0)


def test_a_wide_link_carries_everything() -> None:
    result = run(Link(1e7), 10)
    assert result.outbox.shed_frames == result.outbox.shed_voice == 0
    assert len(result.ages[Kind.VOICE]) >= 495 and len(result.ages[Kind.FACE]) >= 245
    assert result.outbox.round_trip == pytest.approx(0.04, abs=0.002)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(6_500, 200_000),
    delay=st.floats(0.001, 0.3),
    frame_bytes=st.integers(50, 20_000),
    ahead=st.integers(0, 3),
)
def test_on_a_narrow_link_the_delay_has_a_bound(
    rate: float, delay: float, frame_bytes: int, ahead: int
) -> None:
    result = run(Link(rate, delay), 20, frame_bytes=frame_bytes, ahead=ahead)
    # A frame that is let in takes as long as it takes; what is under way before it, no longer than
    # the voice may be late.
    bound = 2 * delay + VOICE_EXCESS + 0.1 + 4 * (frame_bytes + 200) / rate
    late = oldest(result.ages[Kind.VOICE] + result.ages[Kind.FACE], 0)
    assert late <= bound
    # It is as late in the end as it was in the middle: it does not grow.
    assert oldest(result.ages[Kind.VOICE], 15) <= bound
    under_way = len(result.outbox._under_way)
    assert under_way <= (bound + 2 * delay) * 75 + 10


def test_the_face_gives_way_to_the_voice() -> None:
    # 100 + 18 bytes of voice 50 times a second are 5.9 kB; the pictures want 100 kB more.
    result = run(Link(20_000), 20)
    voice = len(result.ages[Kind.VOICE]) / (20 / STEP)
    face = len(result.ages[Kind.FACE]) / (20 / (2 * STEP))
    assert voice > 0.97
    assert 0.08 < face < 0.15


def test_after_a_stop_everything_is_as_before() -> None:
    link = Link(1e6, stopped=(5.0, 8.0))
    result = run(link, 12)
    assert result.outbox.shed_voice > 50 and result.outbox.shed_frames == 0
    assert oldest(result.ages[Kind.VOICE], 8.5) < 0.05
    assert oldest(result.ages[Kind.FACE], 8.5) < 0.08
    # Three seconds of silence, and what was under way before.
    waited = [age for at, age in result.ages[Kind.VOICE] if 8.0 <= at < 8.5 and age > 0.1]
    assert len(waited) < (VOICE_EXCESS + 0.2) / STEP


def test_a_reader_that_never_answers_is_sent_little() -> None:
    link = Link(1e9)
    result = run(link, 30, reads=False)
    assert len(link.under_way) < 75
    assert result.outbox.excess(30.0) > GIVE_UP


def test_after_dropped_frames_comes_a_key_frame_first() -> None:
    outbox = Outbox()
    # Nothing is known of the path yet: one frame at a time.
    assert outbox.takes_face(0.0) and not outbox.takes_face(0.0, 1)
    assert outbox.put_face(b"key", 0, 0.0, key=True)
    assert not outbox.takes_face(0.0)
    assert outbox.next(0.0)
    assert not outbox.put_face(b"delta", 1, 1.0, key=False)
    outbox.acknowledged(0, 1.01)
    # There is room again, but what came would refer to what was dropped.
    assert not outbox.put_face(b"delta", 2, 1.02, key=False)
    assert outbox.put_face(b"key", 3, 1.03, key=True)
    assert outbox.put_face(b"delta", 4, 1.04, key=False)
    assert outbox.shed_frames == 2


def test_clear_drops_what_waits_and_marks_what_follows() -> None:
    outbox = Outbox()
    outbox.put_voice(b"old", 0, 0.0)
    outbox.put_face(b"old", 0, 0.0, key=True)
    assert not outbox.clear(1)  # a frame was dropped: a key frame must follow
    assert outbox.next(0.0) is None
    outbox.put_voice(b"new", 960, 0.0)
    message = outbox.next(0.0)
    assert isinstance(message, bytes)
    packet = parse(message)
    assert (packet.payload, packet.generation, packet.sequence) == (b"new", 1, 0)
    assert Outbox().clear(1)  # nothing was dropped


def test_a_foolish_acknowledgement_acknowledges_nothing() -> None:
    outbox = Outbox()
    for step in range(3):
        outbox.put_voice(b"v", step, 0.0)
        outbox.next(0.0)
    for sequence in (3, 100, 2**32 - 1):
        outbox.acknowledged(sequence, 0.1)
        assert outbox.round_trip is None
    outbox.acknowledged(1, 0.1)
    outbox.acknowledged(1, 9.0)  # again: nothing new
    assert outbox.round_trip == pytest.approx(0.1)
    outbox.acknowledged(2, 0.2)
    assert outbox.excess(100.0) == 0.0


def test_the_report_says_what_got_through_and_whether_it_queued() -> None:
    outbox = Outbox()
    reports = []
    for step in range(150):
        now = step * STEP
        if step % 2 == 0:
            outbox.put_face(bytes(1000), step, now, key=step == 0)
        outbox.put_voice(b"v", step, now)
        while outbox.next(now):
            pass
        outbox.acknowledged(outbox._sequence - 1, now + 0.005)
        report = outbox.report(now + 0.005)
        if report is not None:
            reports.append(report)
    assert len(reports) == 2
    assert reports[0].round_trip == pytest.approx(0.005)
    assert reports[1].arrived == pytest.approx(25 * 8000, rel=0.05)
    assert reports[0].lost == 0


def test_only_so_many_texts_wait() -> None:
    outbox = Outbox()
    for number in range(40):
        outbox.put_text(str(number))
    texts = []
    while (text := outbox.next(0.0)) is not None:
        texts.append(text)
    assert texts == [str(number) for number in range(24, 40)]


def test_thresholds_leave_the_voice_longer_than_the_face() -> None:
    assert FACE_EXCESS < VOICE_EXCESS < GIVE_UP
