"""The control channel: small packets, whole or not at all, and errors that keep their class."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import get_type_hints

import pytest

from visavis.engines import errors
from visavis.engines.errors import (
    EngineAway,
    EngineError,
    EngineFull,
    NoConsent,
    NoRoom,
    PersonFileError,
    UnknownLookahead,
    UnknownPerson,
    VisavisError,
)
from visavis.engines.remote.channel import MAX_PACKET, Channel, decode_error, encode_error

Pair = tuple[Channel, Channel, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one, other = Channel(ours), Channel(theirs, take_fds=True)
    yield one, other, ours
    one.close()
    other.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_packet_comes_whole_with_its_descriptors(pair: Pair) -> None:
    one, other, _ = pair
    reading, writing = os.pipe()
    one.send({"id": 1, "text": "ä" * 3000}, (reading, writing))
    one.send({"id": 2})
    packet = other.receive()
    assert packet is not None and packet.body == {"id": 1, "text": "ä" * 3000}
    os.write(writing, b"through")
    assert os.read(packet.fds[0], 10) == b"through"
    assert not any(os.get_inheritable(fd) for fd in packet.fds)
    packet.close()
    second = other.receive()
    assert second is not None and (second.body, second.fds) == ({"id": 2}, ())
    os.close(reading)
    os.close(writing)


def test_the_end_of_the_other_side_is_none(pair: Pair) -> None:
    one, other, _ = pair
    one.shut()
    assert other.receive() is None
    with pytest.raises(OSError):
        other.send({})


def test_what_is_too_large_is_not_sent(pair: Pair) -> None:
    with pytest.raises(EngineError, match="does not fit into a packet"):
        pair[0].send({"text": "x" * MAX_PACKET})


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[1]",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"\xff",
        b'{"a":' * 20,
        b"1" * (MAX_PACKET + 1),
    ],
)
def test_what_is_no_packet_is_refused_and_leaves_no_descriptor(pair: Pair, data: bytes) -> None:
    _, other, raw = pair
    before = open_fds()
    socket.send_fds(raw, [data], [0, 0])
    with pytest.raises(EngineError):
        other.receive()
    assert open_fds() == before


def test_descriptors_that_nobody_asked_for_are_dropped(pair: Pair) -> None:
    one, other, _ = pair
    before = open_fds()
    other.send({"op": "hello"}, (0, 1, 2))
    packet = one.receive()
    assert packet is not None and packet.fds == ()
    assert open_fds() == before


def test_whoever_does_not_read_does_not_stop_whoever_sends(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            pair[0].send({"text": "x" * 10_000})


@pytest.mark.parametrize(
    "error",
    [
        UnknownPerson("eve", ("ada", "ben")),
        UnknownLookahead("ada", 60, (40, 100)),
        EngineFull(7),
        NoRoom("ada", 1 << 30),
        NoConsent("ada.person"),
        PersonFileError("ada.person is not one."),
        EngineAway(),
        EngineError("No."),
    ],
)
def test_errors_keep_their_class_and_their_sentence(error: VisavisError) -> None:
    back = decode_error(json.loads(json.dumps(encode_error(error))))
    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_other_errors_become_a_sentence() -> None:
    assert str(decode_error(encode_error(MemoryError()))) == (
        "The engine has no memory left for this."
    )
    assert str(decode_error(encode_error(ZeroDivisionError("by zero")))) == (
        "The engine failed: ZeroDivisionError: by zero."
    )


def test_a_list_of_thousands_fits_into_a_packet(pair: Pair) -> None:
    names = tuple(f"person-{number}" for number in range(5000))
    pair[0].send({"error": encode_error(UnknownPerson("eve" * 5000, names))})


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"kind": "SystemExit", "args": []},
        {"kind": "__all__", "args": []},
        {"kind": ["EngineFull"], "args": [1]},
        {"kind": "EngineFull", "args": [[1.5]]},
        {"kind": "EngineFull", "args": []},
        {"kind": "UnknownPerson", "args": [1, 2]},
        {"kind": "NoRoom", "args": ["ada", "much"]},
    ],
)
def test_an_error_that_makes_no_sense_is_an_engine_error(value: object) -> None:
    assert type(decode_error(value)) is EngineError


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_of_ours_can_be_told(name: str) -> None:
    """One that is added with arguments that do not travel is noticed here."""
    kind = getattr(errors, name)
    examples = {
        str: "a word",
        int: 3,
        tuple[str, ...]: ("one", "two"),
        tuple[int, ...]: (40, 100),
    }
    hints = {} if "__init__" not in vars(kind) else get_type_hints(kind.__init__)
    arguments = [examples[hint] for key, hint in hints.items() if key != "return"]
    error = kind(*arguments) if "__init__" in vars(kind) else kind("A sentence.")
    back = decode_error(json.loads(json.dumps(encode_error(error))))
    assert (type(back), str(back)) == (kind, str(error))
