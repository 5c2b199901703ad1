"""One trouble for one stack: a page, a relay between it and its server, and what was seen."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.benchmarks.live.browser import LivePage
from visavis.benchmarks.live.records import ServerRecord
from visavis.benchmarks.live.session import TALK
from visavis.benchmarks.live.timing import match
from visavis.benchmarks.network import candidates
from visavis.benchmarks.network.figures import counted, phases
from visavis.benchmarks.network.relay import Relay
from visavis.benchmarks.network.scenarios import QUIET, Scenario
from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

__all__ = ["Lengths", "Stack", "measure"]

RECORD_TIMEOUT_S = 20.0
STATS_EVERY_S = 0.5
BOX = (0, 0, 8, 8)  # the mouth is of no interest here
SESSIONS = re.compile(r"^https?://[^/]+/sessions($|[/?])")
COUNTERS = """async () => {
  const found = {};
  const add = (name, value) => { found[name] = (found[name] ?? 0) + (value ?? 0); };
  const stats = visavisProbe.peer ? await visavisProbe.peer.getStats() : new Map();
  for (const stat of stats.values()) {
    if (stat.type !== "inbound-rtp") continue;
    if (stat.kind === "audio") {
      for (const name of ["concealedSamples", "concealmentEvents", "totalSamplesReceived"])
        add(name, stat[name]);
      add("audioLost", stat.packetsLost);
    } else {
      for (const name of ["keyFramesDecoded", "framesDecoded", "pliCount", "nackCount"])
        add(name, stat[name]);
      add("videoLost", stat.packetsLost);
      add("retransmitted", stat.retransmittedPacketsReceived);
    }
  }
  return found;
}"""
OURS = (
    "packets_recovered",
    "packets_lost",
    "concealed_ms",
    "key_frames",
    "resumes",
    "size_changes",
)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Seconds of each phase. What comes first settles, and is not counted."""

    settle: float = 4.0
    before: float = 5.0
    during: float = 8.0
    after: float = 10.0


@dataclass
class Stack:
    """A server that answers offers.

    Attributes:
        name: ``visavis`` or ``aiortc``.
        page: address of the page that is opened.
        sessions: address that the offers go to.
        folder: where its records appear, ``session-N.npz``.
        opened: how many sessions it has opened so far.
    """

    name: str
    page: str
    sessions: str
    folder: Path
    opened: int = field(default=0)

    @property
    def own(self) -> bool:
        """Whether the page's own server answers, with all of its addresses."""
        return self.name == "visavis"


class _Router:
    """Stands between page and server: offers and answers are led through the relay."""

    def __init__(self, stack: Stack, relay: Relay) -> None:
        self._stack = stack
        self._relay = relay
        self.failures: list[str] = []
        self.location: str | None = None

    def handle(self, route: Route) -> None:
        request = route.request
        path = request.url.partition("/sessions")[2]
        if request.method == "POST" and (path[:1] in ("", "?") or "/resume" in path):
            self._offer(route, path)
        elif request.method == "PATCH":
            route.fulfill(status=204)  # the browser's addresses are nobody's business
        elif self._stack.own:
            route.continue_()
        elif request.method == "DELETE":
            route.fulfill(response=route.fetch(url=self._stack.sessions + path))
        else:
            route.fulfill(status=503)  # no numbers; 404 would say that the session is gone

    def _offer(self, route: Route, path: str) -> None:
        offer = candidates.without_candidates(route.request.post_data or "")
        try:
            response = route.fetch(url=self._stack.sessions + path, post_data=offer)
        except Exception as error:  # the driver's own kind: say it, let the page do its best
            self.failures.append(str(error).splitlines()[0])
            route.abort()
            return
        if not response.ok:
            self.failures.append(f"{response.status}: {response.text()[:200]}")
            route.fulfill(response=response)
            return
        answer = response.text()
        server = candidates.server_address(answer)
        port = self._relay.open(server)
        if response.status == 201:
            self._stack.opened += 1
            self.location = self.location or response.headers.get("location")
        route.fulfill(response=response, body=candidates.through(answer, (server[0], port)))


def measure(
    stack: Stack, scenario: Scenario, *, browser: Browser, lengths: Lengths, seed: int
) -> dict[str, Any]:
    """Let one session go through one trouble; its figures.

    Raises:
        ConfigError: no picture came, or the server wrote no record.
    """
    number = stack.opened + 1
    marks: list[float] = []
    seen: list[dict[str, float]] = []
    polled: list[tuple[float, dict[str, Any]]] = []
    with Relay(seed, QUIET) as relay:
        router = _Router(stack, relay)
        page = LivePage(browser, stack.page, mouth=BOX, control=BOX)
        page.page.route(SESSIONS, router.handle)
        try:
            page.page.wait_for_selector(TALK, state="visible")
            page.first_motion_s(TALK)
            poll = _Poll(stack, router, polled)
            page.watch(lengths.settle)
            lasts = scenario.lasts_s or lengths.during
            steps = ((lengths.before, None), (lasts, scenario), (lengths.after, None))
            for seconds, trouble in steps:
                if trouble is not None:
                    relay.change(trouble.conditions)
                    if trouble.rebinds:
                        relay.rebind()
                else:
                    relay.change(QUIET)
                marks.append(time.monotonic())
                seen.append(page.page.evaluate(COUNTERS))
                page.watch(seconds, every=poll)
            marks.append(time.monotonic())
            seen.append(page.page.evaluate(COUNTERS))
            record = page.record()
            link = relay.counters()
            _end(stack, router)
            noted = _record(stack.folder / f"session-{number}.npz")
        finally:
            page.close()
    times = match(noted, record)
    result = phases(times, record, marks)
    for name, growth in zip(("before", "during", "after"), counted(seen), strict=False):
        result[name]["browser"] = growth
    if stack.own:
        _add_own(result, polled, marks)
    return result | {
        "found_in_microphone": round(times.in_microphone.found(), 3),
        "found_in_voice": round(times.in_voice.found(), 3),
        "clock_uncertainty_ms": round(page.counters["clock_uncertainty_s"] * 1000, 2),
        "link": link,
        "sessions_opened": stack.opened - number + 1,
        "problems": router.failures + page.counters["errors"],
    }


class _Poll:
    """Asks our server about the session now and then."""

    def __init__(
        self, stack: Stack, router: _Router, polled: list[tuple[float, dict[str, Any]]]
    ) -> None:
        self._stack = stack
        self._router = router
        self._polled = polled
        self._next = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if not self._stack.own or now < self._next or self._router.location is None:
            return
        self._next = now + STATS_EVERY_S
        try:
            with urllib.request.urlopen(
                f"{_session(self._stack, self._router)}/stats", timeout=2
            ) as a:
                self._polled.append((now, json.load(a)))
        except (urllib.error.URLError, OSError) as error:
            print(f"visavis bench network: no stats: {error}", file=sys.stderr)


def _add_own(
    result: dict[str, Any], polled: list[tuple[float, dict[str, Any]]], marks: list[float]
) -> None:
    """What our server itself says: its delay, and what it did about the trouble."""
    for name, begin, end in zip(("before", "during", "after"), marks, marks[1:], strict=False):
        here = [report for at, report in polled if begin <= at < end]
        if not here:
            result[name]["server"] = None
            continue
        delays = sorted(float(report["server_delay_ms"]) for report in here)
        growth: Mapping[str, float] = {key: round(here[-1][key] - here[0][key], 1) for key in OURS}
        result[name]["server"] = {
            "delay_median_ms": round(delays[len(delays) // 2], 1),
            "delay_last_ms": round(float(here[-1]["server_delay_ms"]), 1),
            "target_bps_last": here[-1]["target_bps"],
            **growth,
        }


def _session(stack: Stack, router: _Router) -> str:
    identifier = str(router.location).rpartition("/")[2]
    return f"{stack.sessions}/{identifier}"


def _end(stack: Stack, router: _Router) -> None:
    """End the session even where its page has lost it."""
    request = urllib.request.Request(_session(stack, router), method="DELETE")
    with contextlib.suppress(urllib.error.URLError, OSError):  # if it has ended, its record tells
        urllib.request.urlopen(request, timeout=5).close()


def _record(path: Path) -> ServerRecord:
    end = time.monotonic() + RECORD_TIMEOUT_S
    while not path.exists():
        if time.monotonic() > end:
            raise ConfigError("The measured session did not end when it was told to.")
        time.sleep(0.1)
    return ServerRecord.load(path)
