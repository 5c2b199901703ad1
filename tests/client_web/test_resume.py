"""A page whose network goes away while somebody speaks, in a real Chromium."""

from __future__ import annotations

import re
import select
import socket
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Route

from tests.client_web.helpers import Engine, Open, until, wait_for, words
from tests.client_web.live_picture import look, moves

pytestmark = pytest.mark.browser

HOST = "127.0.0.1"


class Hop:
    """Stands between one connection's UDP packets until it is cut; then nothing passes for good.

    Args:
        port: where the server listens for this connection.
    """

    def __init__(self, port: int) -> None:
        self.cut = False
        self._server = (HOST, port)
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind((HOST, 0))
        self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._far.bind((HOST, 0))
        self.port = self._near.getsockname()[1]
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="hop")
        self._thread.start()

    def _run(self) -> None:
        browser = None
        while not self._ended:
            for ready in select.select([self._near, self._far], [], [], 0.1)[0]:
                data, address = ready.recvfrom(4096)
                if self.cut:
                    continue
                if ready is self._near:
                    browser = address
                    self._far.sendto(data, self._server)
                elif browser is not None:
                    self._near.sendto(data, browser)

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self._near.close()
        self._far.close()


class Network:
    """Leads every connection of a page through a :class:`Hop` of its own."""

    def __init__(self) -> None:
        self.hops: list[Hop] = []
        self.refused = 0
        self.down = False

    def __call__(self, route: Route) -> None:
        request = route.request
        if self.down:
            self.refused += 1
            route.abort("internetdisconnected")
        elif request.method == "PATCH":
            route.fulfill(status=204)  # the server must not find another way to the browser
        elif request.method == "POST" and not request.url.endswith("/clear"):
            response = route.fetch(post_data=re.sub(r"a=candidate:.*\r\n", "", request.post_data))
            route.fulfill(response=response, body=self._lead(response.text()))
        else:
            route.continue_()

    def _lead(self, answer: str) -> str:
        found = re.search(rf"a=candidate:.* udp \d+ {re.escape(HOST)} (\d+) typ host", answer)
        if found is None:
            return answer
        hop = Hop(int(found[1]))
        self.hops.append(hop)
        only = found[0].replace(f" {found[1]} typ", f" {hop.port} typ")
        return re.sub(r"(a=candidate:.*\r\n)+", only + "\r\n", answer)

    def close(self) -> None:
        for hop in self.hops:
            hop.close()


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


def test_a_cut_connection_goes_on_over_another(
    open_page: Open, engine: Engine, network: Network
) -> None:
    page = open_page(routes={"**/sessions**": network, "**/sessions/**": network})
    page.click("#secondary")
    wait_for(page, "live")
    assert len(network.hops) == 1  # nothing goes past it
    session = page.evaluate("window.visavis.client.session")
    place = next(iter(engine.sessions))
    moves(page)
    shown = look(page)["index"]
    network.down = True
    network.hops[0].cut = True
    wait_for(page, "resuming", seconds=20)
    assert words(page) == (
        "One moment",
        "The network was interrupted. Presenter comes back by itself.",
    )
    deadline = page.evaluate("performance.now()") + 10_000
    while not network.refused:  # it tries while there is no network
        page.wait_for_timeout(50)
        assert page.evaluate("performance.now()") < deadline
    network.down = False
    wait_for(page, "live")
    assert page.evaluate("window.visavis.client.session") == session
    assert len(network.hops) >= 2 and len(engine.sessions) == 1
    moves(page)
    # Its numbers went on too: it is the same session, whether or not its place was kept.
    if place in engine.sessions:
        assert look(page)["index"] > shown
    report = page.evaluate("(url) => fetch(url + '/stats').then((r) => r.json())", session)
    assert report["resumes"] == 1 and report["uptime_s"] > 5


def test_a_page_that_wakes_up_finds_its_connection_gone(
    open_page: Open, engine: Engine, network: Network
) -> None:
    """It does not wait until the browser has noticed."""
    page = open_page(routes={"**/sessions**": network, "**/sessions/**": network})
    page.click("#secondary")
    wait_for(page, "live")
    session = page.evaluate("window.visavis.client.session")
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(2000)
    assert page.evaluate("document.body.dataset.state") == "live"  # what works is left alone
    assert len(network.hops) == 1
    network.hops[0].cut = True
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    stats = "fetch(window.visavis.client.session + '/stats').then((r) => r.json())"
    until(page, f"{stats}.then(({{resumes}}) => resumes === 1)", seconds=4)
    wait_for(page, "live")
    assert page.evaluate("window.visavis.client.session") == session
    assert len(network.hops) == 2
    moves(page)
