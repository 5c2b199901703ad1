"""What a page shows of the fake engine's picture (tests/server/fake_engine.py), as it changes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from playwright.sync_api import Page

from tests.client_web.helpers import until

__all__ = ["LOOK", "follows_voice", "lag", "look", "moves"]

# Reads the fake engine's picture (tests/server/fake_engine.py): 16 blocks for the index of the
# frame, a grey one for how loud it was.
LOOK = """
(video) => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 80});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(video, 0, 0, 64, 80, 0, 0, 64, 80);
  const pixels = context.getImageData(0, 0, 64, 80).data;
  const at = (x, y) => pixels[4 * (64 * y + x) + 1];
  let index = 0;
  for (let bit = 0; bit < 16; bit += 1)
    if (at(16 * (bit % 4) + 8, 16 * (bit >> 2) + 8) > 125) index |= 1 << bit;
  return {index, level: at(32, 72) / 255};
}
"""

LIVE = "document.getElementById('avatar').video"
LOUD = 0.3
# The microphone speaks one sentence in nine seconds: four of them, on a machine that stands still.
SENTENCES_S = 36

# Looks at every picture for a second; so no short sound is missed between two questions.
LOUDEST = f"""
async () => {{
  const look = {LOOK};
  const end = performance.now() + 1000;
  let loudest = 0;
  while (performance.now() < end && loudest <= {LOUD}) {{
    loudest = Math.max(loudest, look({LIVE}).level);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }}
  return loudest;
}}
"""


def look(page: Page) -> dict[str, Any]:
    """The live picture: ``index`` and ``level``."""
    seen: dict[str, Any] = page.evaluate(f"({LOOK})({LIVE})")
    return seen


def moves(page: Page, frames: int = 10) -> None:
    """Wait until the live picture has moved on by so many frames."""
    first = look(page)["index"]
    until(page, f"({LOOK})({LIVE}).index > {first + frames}")


def follows_voice(page: Page) -> None:
    """Wait until the live picture shows the loud voice of the microphone."""
    deadline = time.monotonic() + SENTENCES_S
    heard: list[float] = []
    while not heard or heard[-1] <= LOUD:
        assert time.monotonic() < deadline, (
            f"no voice is shown; the loudest of each second: {heard}; "
            f"{page.evaluate('window.visavis.stats')}"
        )
        heard.append(page.evaluate(LOUDEST))


def lag(frames: list[list[float]], loudness: list[float]) -> float:
    """Milliseconds by which the picture comes after the sound; infinite if it does not follow."""
    sound = np.asarray(loudness)
    times = np.arange(len(sound)) / 100
    shown = np.asarray([[time, level] for time, _, level in frames])
    picture = np.interp(times, shown[:, 0], shown[:, 1])
    # A frame shows the loudest moment of its 40 ms: so does this envelope.
    envelope = np.asarray([sound[i : i + 4].max() for i in range(len(sound) - 3)])
    picture = picture[: len(envelope)]
    best, found = -np.inf, 0
    for shift in range(-30, 31):
        a = envelope[max(0, -shift) : len(envelope) - max(0, shift)]
        b = picture[max(0, shift) : len(picture) - max(0, -shift)]
        score = float(np.corrcoef(a, b)[0, 1])
        if score > best:
            best, found = score, shift
    return 10.0 * found if best > 0.6 else np.inf
