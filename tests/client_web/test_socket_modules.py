"""The pure modules of the WebSocket path, run in Chromium: framing, ring, shutter, choice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.client_web.helpers import Open
from visavis.server.ws.framing import Kind, Packet, parse

pytestmark = pytest.mark.browser

# A path without the page: nothing but the module under test runs.
BLANK = "healthz"

# `simulate(arrivals, seconds, options)`: packets of 20 ms come at arrivals[i] (seconds), and the
# device asks for 128 samples at a time. Each packet is a constant, so that what is heard says when.
SIMULATE = """
async ([arrivals, seconds, {loud = 0.5, quiet = [], least = 0, gap = null, generation = null}]) => {
  const {Ring} = await import("/static/ring.js");
  const ring = new Ring();
  ring.least = least * 48;
  const out = new Float32Array(128);
  const depths = [], positions = [], underruns = [];
  let next = 0, bad = 0, jumps = 0, last = 0;
  for (let n = 0; n * 128 < seconds * 48000; n += 1) {
    const now = (n * 128) / 48000;
    while (next < arrivals.length && arrivals[next] <= now) {
      if (!(gap && next >= gap[0] && next < gap[1])) {
        const still = quiet.some(([a, b]) => next >= a && next < b);
        ring.push(960 * next, new Float32Array(960).fill(still ? 0 : loud),
                  generation && next >= generation ? 1 : 0);
      }
      next += 1;
    }
    ring.pull(out);
    for (const sample of out) {
      if (!Number.isFinite(sample) || Math.abs(sample) > 1) bad += 1;
      if (Math.abs(sample - last) > 0.02) jumps += 1;
      last = sample;
    }
    if (n % 38 === 0) {
      // Media time against the clock: what is heard, and how late.
      positions.push([now, ring.position === null ? null : now - ring.position / 48000]);
      depths.push(ring.depth / 48);
      underruns.push(ring.underruns);
    }
  }
  const {skipped, missing, margin} = ring;
  return {depths, positions, underruns, bad, jumps, skipped, missing, margin: margin / 48};
}
"""


@pytest.fixture
def simulate(open_page: Open) -> Any:
    page = open_page(BLANK, state=None)
    return lambda arrivals, seconds, **options: page.evaluate(
        SIMULATE, [list(arrivals), seconds, options]
    )


def steady(seconds: float, *, at: float = 0.0) -> list[float]:
    """When packets come that are sent every 20 ms."""
    return [at + 0.02 * number for number in range(int(seconds * 50))]


def late(result: dict[str, Any], since: float, until: float = 1e9) -> list[float]:
    return [delay for now, delay in result["positions"] if since <= now < until]


def test_steady_packets_are_played_a_little_later_and_whole(simulate: Any) -> None:
    result = simulate(steady(10), 10)
    assert result["bad"] == 0 and result["underruns"][-1] == 0
    # It fades in once, and is never interrupted.
    assert result["jumps"] == 0
    assert min(late(result, 1)) > 0.008 and max(late(result, 1)) < 0.050


def test_a_network_that_stood_still_leaves_no_delay_behind(simulate: Any) -> None:
    arrivals = [max(at, 5.4) if at > 5.0 else at for at in steady(20)]
    result = simulate(arrivals, 20, quiet=[(400, 500)])
    before, after = late(result, 4, 5), late(result, 12)
    assert result["underruns"][-1] == 1 and result["bad"] == 0
    assert max(late(result, 5.4, 6)) > 0.2  # what came late is heard late ...
    assert max(after) < max(before) + 0.030  # ... and what comes later is not
    assert result["skipped"] > 0.3 * 48_000


def test_jitter_is_borne_after_it_was_met(simulate: Any) -> None:
    arrivals = [at + (0.03 if number % 25 == 7 else 0) for number, at in enumerate(steady(20))]
    result = simulate(arrivals, 20)
    later = result["underruns"][len(result["underruns"]) // 2 :]
    assert later[-1] == later[0]  # no more of them
    assert max(late(result, 10)) < 0.100


def test_what_the_sender_left_out_is_a_gap_in_time(simulate: Any) -> None:
    result = simulate(steady(6), 6, gap=(100, 150))
    assert 47_000 < result["missing"] < 50_000 and result["jumps"] == 0
    assert abs(max(late(result, 5)) - max(late(result, 1, 2))) < 0.025


def test_a_new_generation_drops_the_old_one(simulate: Any) -> None:
    # Half a second is said at once, then somebody interrupts.
    arrivals = [*steady(3), *([3.0] * 30), *steady(3, at=3.1)]
    result = simulate(arrivals, 6, generation=180)
    assert result["skipped"] > 20 * 960
    assert min(late(result, 5)) > -0.52 and max(late(result, 5)) < -0.44


def test_time_waits_for_late_pictures(simulate: Any) -> None:
    result = simulate(steady(6), 6, least=80)
    assert min(late(result, 2)) > 0.074 and max(late(result, 2)) < 0.130


def test_ten_seconds_at_once_are_not_kept(simulate: Any) -> None:
    result = simulate([0.0] * 500, 4)
    assert max(result["depths"]) <= 2100 and result["bad"] == 0


SHUTTER = """
async ([pictures, looks]) => {
  const {Shutter} = await import("/static/shutter.js");
  const shutter = new Shutter();
  const closed = [];
  for (const [pts, now] of pictures) {
    shutter.add({timestamp: pts, close: () => closed.push(pts)}, now);
  }
  const shown = looks.map((now) => shutter.take(now)?.timestamp ?? null);
  const {late, dropped} = shutter;
  shutter.clear();
  return {shown, closed, late, dropped};
}
"""


def test_pictures_are_shown_with_their_voice(open_page: Open) -> None:
    page = open_page(BLANK, state=None)
    pictures = [[40_000 * number, 0] for number in range(4)]
    looks = [-20_000, 0, 10_000, 36_000, 41_000, 130_000, 130_000]
    result = page.evaluate(SHUTTER, [pictures, looks])
    # Not before its time (half a step of the clock is allowed), each once, a late one not at all.
    assert result["shown"] == [None, 0, None, 40_000, None, 120_000, None]
    assert result["closed"] == [80_000] and result["dropped"] == 1
    # Without a clock, the newest at once.
    result = page.evaluate(SHUTTER, [[[p, None] for p, _ in pictures], [None, None]])
    assert result["shown"] == [120_000, None] and result["late"] is None
    # Never more than a few wait, and what is not shown is closed.
    many = [[40_000 * number, 0] for number in range(30)]
    result = page.evaluate(SHUTTER, [many, []])
    assert len(result["closed"]) == 30 and result["dropped"] == 18
    # How late nine of ten came.
    result = page.evaluate(SHUTTER, [[[0, 5000]] * 9 + [[0, 90_000]] * 4, []])
    assert result["late"] == 90


def test_both_ends_agree_on_the_framing(open_page: Open) -> None:
    page = open_page(BLANK, state=None)
    packets = [
        Packet(Kind.FACE, 7, 1920, b"\x00\xffpicture", key=True, generation=3),
        Packet(Kind.VOICE, 2**32 - 1, 2**40 + 5, b""),
    ]
    read = page.evaluate(
        """async (messages) => {
          const {parse} = await import("/static/framing.js");
          return messages.map((bytes) => {
            const {payload, ...rest} = parse(new Uint8Array(bytes).buffer);
            return {...rest, payload: [...payload]};
          });
        }""",
        [list(packet.pack()) for packet in packets],
    )
    for packet, seen in zip(packets, read, strict=True):
        assert bytes(seen.pop("payload")) == packet.payload
        assert seen == {
            "kind": packet.kind,
            "key": packet.key,
            "generation": packet.generation,
            "sequence": packet.sequence,
            "pts": packet.pts,
        }
    written = page.evaluate(
        """async () => {
          const {MICROPHONE, pack} = await import("/static/framing.js");
          return [...pack(MICROPHONE, 2 ** 32 + 9, 2 ** 33 + 480, new Uint8Array([1, 2, 3]))];
        }"""
    )
    assert parse(bytes(written)) == Packet(Kind.MICROPHONE, 9, 2**33 + 480, b"\x01\x02\x03")
    refused = page.evaluate(
        """async () => {
          const {parse} = await import("/static/framing.js");
          return [parse(new ArrayBuffer(15)), parse(new Uint8Array(16).fill(2).buffer)];
        }"""
    )
    assert refused == [None, None]


@pytest.mark.parametrize(
    ("wanted", "there", "names", "reason"),
    [
        (None, {}, ["webrtc", "websocket"], None),
        (None, {"udpClosed": True}, ["websocket"], "udp"),
        (None, {"webrtc": False}, ["websocket"], "unsupported"),
        (None, {"websocket": False, "udpClosed": True}, ["webrtc"], None),
        ("webrtc", {"udpClosed": True}, ["webrtc"], None),
        ("websocket", {}, ["websocket"], "asked"),
    ],
)
def test_which_way_is_tried(
    open_page: Open, wanted: str | None, there: dict[str, bool], names: list[str], reason: str
) -> None:
    page = open_page(BLANK, state=None)
    facts = {"webrtc": True, "websocket": True, "udpClosed": False, **there}
    found = page.evaluate(
        """async ([wanted, facts]) => {
          const {ways} = await import("/static/client.js");
          return ways(wanted, facts);
        }""",
        json.loads(json.dumps([wanted, facts])),
    )
    assert [way["name"] for way in found] == names
    assert found[0]["reason"] == reason
