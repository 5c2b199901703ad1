"""A real browser whose microphone's clock runs fast or slow, for minutes.

Chromium's fake microphone keeps the machine's own time. Here one sample in 5000 is left out of what
it gives, or said twice, before the browser's encoder sees it: to the server that is a microphone
whose clock is 200 millionths slow or fast. (The sound itself hardly changes.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.sync_api import Response

from tests.browser import find_chromium, spoken_wave
from tests.e2e.test_live import TALK, Server, wait_for
from visavis.benchmarks.live import browser as driver
from visavis.benchmarks.soak.regression import slope

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(900)]

EVERY = 5000
PPM = 1e6 / EVERY
SETTLE_S = 30.0
MINUTES = 4.0
OFF_CLOCK = Path(__file__).with_name("off_clock.js").read_text("utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    find_chromium()
    server = Server()
    yield server
    server.stop()


@pytest.mark.parametrize("step", [1, -1], ids=["fast", "slow"])
def test_a_microphone_that_is_off_by_200_ppm(server: Server, tmp_path: Path, step: int) -> None:
    voice = tmp_path / "voice.wav"
    spoken_wave(voice, before=1.5, after=4.0)
    rows: list[tuple[float, dict[str, float]]] = []
    with driver.launched(Path(find_chromium()), voice) as browser:
        page = browser.new_context().new_page()
        page.add_init_script(f"({OFF_CLOCK})({EVERY}, {step})")
        places: list[str] = []

        def answered(response: Response) -> None:
            if response.request.method == "POST" and "location" in response.headers:
                places.append(response.headers["location"])

        page.on("response", answered)
        page.goto(f"{server.url}?path=webrtc")
        wait_for(page, "ready")
        page.click(TALK)
        wait_for(page, "live")
        begin = time.monotonic()
        while (at := time.monotonic() - begin) < SETTLE_S + 60 * MINUTES:
            page.wait_for_timeout(1000)
            with urlopen(f"{server.url.rstrip('/')}{places[-1]}/stats", timeout=5) as answer:
                rows.append((at / 60, json.load(answer)))
    minutes = np.array([at for at, _ in rows])
    settled = minutes * 60 >= SETTLE_S
    first, last = rows[int(np.argmax(settled))][1], rows[-1][1]
    assert last["drift_ppm"] == pytest.approx(step * PPM, abs=60)
    assert last["audio_cuts"] == first["audio_cuts"]
    assert last["concealed_ms"] - first["concealed_ms"] < 500
    # What the clock alone would add or take: 12 ms a minute.
    delay = np.array([report["server_delay_ms"] for _, report in rows])
    found = slope(minutes[settled], delay[settled])
    assert found is not None and found.low > -4.0 and found.high < 4.0, found
