"""Ways through NATs and firewalls: announced addresses, port ranges, and a real TURN server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.server.conftest import Serving, http
from tests.server.fake_engine import FakeEngine
from tests.server.peers import Client, tone_bursts
from tests.server.test_live import frames_of, sound_of
from tests.server.test_sdp import offer
from visavis.benchmarks.turn import Turn, running
from visavis.engines.errors import ConfigError
from visavis.server.config import ServerConfig
from visavis.server.ice import IceServers, turn_password
from visavis.server.media.sdp import with_announced

SECRET = "north"
LOCAL = "127.0.0.1"


def candidates(answer: str) -> list[tuple[str, int, str]]:
    """Address, port and type of each candidate."""
    found = re.findall(r"a=candidate:\S+ \d+ udp \d+ (\S+) (\d+) typ (\w+)", answer)
    return [(address, int(port), kind) for address, port, kind in found]


# -- passwords that expire --------------------------------------------------------------------


def test_a_turn_password_expires() -> None:
    config = ServerConfig(
        ice_servers=("turn:h:1", "turn:h:1?transport=tcp", "stun:s:2", "turn:u:p@other:3"),
        turn_secret=SECRET,
        turn_seconds=600,
    )
    servers = IceServers(config, clock=lambda: 1_700_000_000.9)
    one, two, stun, own = servers.fresh()
    assert (one.url, two.url) == ("turn:h:1", "turn:h:1?transport=tcp")
    for server in (one, two):
        expiry, _, name = str(server.username).partition(":")
        assert int(expiry) == 1_700_000_600 and len(name) >= 8
        digest = hmac.new(SECRET.encode(), str(server.username).encode(), hashlib.sha1).digest()
        assert server.credential == base64.b64encode(digest).decode()
    assert one.username != servers.fresh()[0].username  # nobody is followed by their name
    assert (stun.username, stun.credential) == (None, None)
    assert (own.username, own.credential) == ("u", "p")
    assert turn_password("north", "1:x") != turn_password("south", "1:x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"turn_secret": " "},
        {"turn_seconds": 5},
        {"turn_seconds": 10**6},
        {"relay_only": True},
        {"relay_only": True, "ice_servers": ("stun:h:1",)},
        {"announce": "example.org"},
        {"announce": "0.0.0.0"},
        {"announce": "ff02::1"},
        {"udp_ports": (1023, 2000)},
        {"udp_ports": (6000, 5000)},
        {"udp_ports": (6000, 6000)},
        {"udp_ports": (60000, 70000)},
        {"ice_servers": ("turn:h:1",)},
        {"ice_servers": ("turn:u:p@h:1?transport=sctp",)},
        {"ice_servers": ("stun:h:1?transport=tcp",)},
        {"ice_servers": ("turn:u:p@h h:1",)},
    ],
)
def test_what_cannot_work_is_refused_at_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerConfig(**wrong)  # type: ignore[arg-type]
    assert str(caught.value).endswith(".")


async def test_passwords_are_given_to_visitors_alone(serving: Serving) -> None:
    values = {"ice_servers": ("turn:192.0.2.1:9",), "turn_secret": SECRET, "token": "t"}
    async with serving(**values) as server, http(server) as plain:
        assert (await plain.get("/config")).json()["ice_servers"] == []
        allowed = {"Authorization": "Bearer t"}
        given = (await plain.get("/config", headers=allowed)).json()["ice_servers"]
        again = (await plain.get("/config", headers=allowed)).json()["ice_servers"]
        for entry in (given[0], again[0]):
            assert entry["urls"] == "turn:192.0.2.1:9"
            assert entry["credential"] == turn_password(SECRET, entry["username"])
            left = int(entry["username"].partition(":")[0]) - time.time()
            assert 0 < left <= 4 * 3600 + 1
        assert given != again and SECRET not in str(given)


# -- addresses and ports ----------------------------------------------------------------------


def test_an_announced_address_is_offered_beside_our_own() -> None:
    answer = "".join(
        f"a=candidate:{n} 1 udp {p} {a} {port} typ {kind}\r\n"
        for n, p, a, port, kind in (
            ("a", 2130706431, "10.0.0.5", 5001, "host"),
            ("b", 2130706431, "fd00::5", 5002, "host"),
            ("c", 2130706431, "127.0.0.1", 5003, "host"),
            ("d", 1694498815, "198.51.100.7", 5004, "srflx raddr 10.0.0.5 rport 5001"),
        )
    )
    assert with_announced(answer, None) == answer
    four = candidates(with_announced(answer, "203.0.113.9"))
    assert four == [
        ("10.0.0.5", 5001, "host"),
        ("203.0.113.9", 5001, "host"),
        ("fd00::5", 5002, "host"),
        ("127.0.0.1", 5003, "host"),
        ("198.51.100.7", 5004, "srflx"),
    ]
    six = candidates(with_announced(answer, "2001:db8::9"))
    assert six[:3] == [
        ("10.0.0.5", 5001, "host"),
        ("fd00::5", 5002, "host"),
        ("2001:db8::9", 5002, "host"),
    ]
    lines = with_announced(answer, "203.0.113.9").split("\r\n")
    assert int(lines[1].split()[3]) < int(lines[0].split()[3])


class Nat(asyncio.DatagramProtocol):
    """A NAT that leads one port of one address to the same port of another."""

    @classmethod
    async def open(cls, outside: str, inside: str, port: int) -> Nat:
        loop = asyncio.get_running_loop()
        nat = cls()
        nat.inside = inside, port
        nat.passed = 0
        nat.back = {}
        nat.work = set()
        nat.front, _ = await loop.create_datagram_endpoint(lambda: nat, local_addr=(outside, port))
        return nat

    inside: tuple[str, int]
    passed: int
    back: dict[tuple[str, int], asyncio.DatagramTransport]
    work: set[asyncio.Task[None]]
    front: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.passed += 1
        task = asyncio.create_task(self.forward(data, addr))
        self.work.add(task)
        task.add_done_callback(self.work.discard)

    async def forward(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr not in self.back:
            front = self.front

            class Back(asyncio.DatagramProtocol):
                def datagram_received(self, answer: bytes, _: tuple[str, int]) -> None:
                    front.sendto(answer, addr)

            opening = asyncio.get_running_loop().create_datagram_endpoint(
                Back, remote_addr=self.inside
            )
            self.back[addr], _ = await opening
        self.back[addr].sendto(data)

    def close(self) -> None:
        for transport in (self.front, *self.back.values()):
            transport.close()


async def test_through_a_nat_that_leads_here(serving: Serving) -> None:
    outside = "127.0.0.2"
    nats: list[Nat] = []

    def hidden(text: str) -> str:
        return re.sub(r"a=candidate:.*\r\n", "", text)

    def only_announced(answer: str) -> str:
        lines = re.findall(rf"a=candidate:\S+ .* {re.escape(outside)} \d+ typ host\r\n", answer)
        assert lines
        return hidden(answer).replace("a=end-of-candidates\r\n", "") + "".join(lines)

    async with serving(announce=outside) as server:
        client = Client(server, tone_bursts(3), edit=hidden, lead=only_announced)
        connecting = asyncio.create_task(client.__aenter__())
        while not client.answer:
            await asyncio.sleep(0.005)
            if connecting.done():
                break
        ours = set(candidates(client.answer))  # each section lists them
        own = {port: address for address, port, _ in ours if address != outside}
        nats += [
            await Nat.open(outside, own[port], port)
            for address, port, _ in ours
            if address == outside
        ]
        try:
            await connecting
            await client.until(lambda: len(client.face.packets) > 20)
            assert sum(nat.passed for nat in nats) > 20
        finally:
            await client.close()
            for nat in nats:
                nat.close()


async def test_udp_ports_stay_in_their_range(serving: Serving) -> None:
    probe = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(1)]
    probe[0].bind(("", 0))
    low = min(probe[0].getsockname()[1], 60_000)
    probe[0].close()
    high = low + 30
    async with (
        serving(udp_ports=(low, high)) as server,
        Client(server, None) as one,
        Client(server, None) as two,
    ):
        used = [port for c in (one, two) for _, port, _ in candidates(c.answer)]
        assert used and all(low <= port <= high for port in used)
        await one.until(lambda: len(one.face.packets) > 5 and len(two.face.packets) > 5)


async def test_without_a_free_port_there_is_a_sentence(serving: Serving) -> None:
    taken = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
    low = 0
    for low in range(50_000, 60_000, 2):
        try:
            for number, one in enumerate(taken):
                one.bind(("::", low + number))  # both families
            break
        except OSError:
            for one in taken:
                one.close()
            taken = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
    engine = FakeEngine()
    try:
        async with serving(engine, udp_ports=(low, low + 1)) as server, http(server) as plain:
            sdp = {"Content-Type": "application/sdp"}
            response = await plain.post("/sessions", content=offer(), headers=sdp)
            assert response.status_code == 503
            assert "UDP port" in response.json()["detail"]
            assert not engine.sessions and len(server.app.state.sessions) == 0
    finally:
        for one in taken:
            one.close()


async def test_ipv6_where_the_machine_has_it(serving: Serving) -> None:
    from aioice.ice import get_host_addresses

    if not get_host_addresses(False, True):
        pytest.skip("this machine has no IPv6 address")

    def six(answer: str) -> str:
        return re.sub(r"a=candidate:\S+ \d+ udp \d+ [\d.]+ \d+ typ .*\r\n", "", answer)

    async with serving() as server, Client(server, None, edit=six, lead=six) as client:
        assert any(":" in address for address, _, _ in candidates(client.answer))
        await client.until(lambda: len(client.face.packets) > 10)


# -- a real TURN server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turn]:
    with running(tmp_path_factory.mktemp("turn")) as turn:
        yield turn


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_speaking_through_a_relay_alone(serving: Serving, turn: Turn, transport: str) -> None:
    place = turn.url(transport)
    engine = FakeEngine()
    async with serving(
        engine, ice_servers=(place,), turn_secret=turn.secret, relay_only=True
    ) as server:
        async with Client(server, tone_bursts(6, every=0.5, length=0.4)) as client:
            assert {kind for _, _, kind in candidates(client.answer)} == {"relay"}
            await client.until(lambda: len(client.face.packets) > 40)
            assert len(frames_of(client.face)) > 15
            heard = max(float(np.abs(sound).max()) for _, sound in sound_of(client.voice)[20:])
            assert heard > 3000
            assert (await client.stats())["packets_lost"] < 10  # type: ignore[operator]
        await client.until(lambda: not engine.sessions)


async def test_a_relay_that_refuses_says_so(serving: Serving, turn: Turn) -> None:
    place = f"turn:{LOCAL}:{turn.port}"
    engine = FakeEngine()
    async with (
        serving(engine, ice_servers=(place,), turn_secret="south", relay_only=True) as server,
        http(server) as plain,
    ):
        response = await plain.post(
            "/sessions", content=offer(), headers={"Content-Type": "application/sdp"}
        )
        assert response.status_code == 503
        assert "TURN" in response.json()["detail"]
        assert not engine.sessions and len(server.app.state.sessions) == 0


async def test_a_name_that_has_expired_is_refused_by_the_relay(turn: Turn) -> None:
    from aioice import turn as client

    async def allocate(expiry: int) -> None:
        username = f"{expiry}:x"
        transport, _ = await client.create_turn_endpoint(
            asyncio.DatagramProtocol,
            server_addr=(LOCAL, turn.port),
            username=username,
            password=turn_password(turn.secret, username),
        )
        transport.close()

    await allocate(int(time.time()) + 60)
    with pytest.raises(Exception, match="401|Unauthorized"):
        await allocate(int(time.time()) - 60)
