"""The relay with real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from visavis.benchmarks.network.link import Conditions
from visavis.benchmarks.network.relay import Relay

HOST = "127.0.0.1"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A browser and a server."""
    pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for end in pair:
        end.bind((HOST, 0))
        end.settimeout(10)
    yield pair[0], pair[1]
    for end in pair:
        end.close()


def test_packets_go_both_ways_and_the_server_sees_the_relay_alone(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    browser, server = ends
    with Relay(1) as relay:
        port = relay.open(server.getsockname())
        browser.sendto(b"up", (HOST, port))
        data, seen = server.recvfrom(100)
        assert data == b"up"
        assert seen[1] not in (port, browser.getsockname()[1])
        server.sendto(b"down", seen)
        assert browser.recvfrom(100) == (b"down", (HOST, port))
        counted = relay.counters()
    assert counted["up"]["packets"] == counted["down"]["packets"] == 1


def test_after_a_change_of_the_address_the_server_sees_another_and_the_old_is_dead(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    browser, server = ends
    with Relay(1) as relay:
        port = relay.open(server.getsockname())
        browser.sendto(b"one", (HOST, port))
        _, old = server.recvfrom(100)
        relay.rebind()
        server.sendto(b"to nobody", old)
        browser.sendto(b"two", (HOST, port))
        data, new = server.recvfrom(100)
        assert data == b"two"
        assert new != old
        server.sendto(b"back", new)
        assert browser.recv(100) == b"back"


def test_conditions_change_while_it_runs(ends: tuple[socket.socket, socket.socket]) -> None:
    browser, server = ends
    with Relay(1) as relay:
        port = relay.open(server.getsockname())
        relay.change(Conditions(dark=True))
        browser.sendto(b"lost", (HOST, port))
        while relay.counters()["up"]["packets"] < 1:
            pass
        relay.change(Conditions())
        browser.sendto(b"there", (HOST, port))
        assert server.recv(100) == b"there"
        assert relay.counters()["up"]["dark"] == 1
