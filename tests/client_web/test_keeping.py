"""The button that records while talking live: on the server where it can, else in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page

from tests.browser import Served, serve_in_thread
from tests.client_web.helpers import Engine, Open, until, wait_for
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

SHOWN = "document.getElementById('recorded').hidden === false"

# Plays a file of the server's and says what came of it.
PLAYED = """
async (name) => {
  const headers = { Authorization: "Bearer kept" };
  const file = await fetch(`recordings/${name}`, { headers });
  const video = document.createElement("video");
  video.muted = true;
  video.src = URL.createObjectURL(await file.blob());
  await video.play();
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  while (video.currentTime < 0.4) await new Promise((resolve) => setTimeout(resolve, 50));
  return [video.videoWidth, video.videoHeight, video.error];
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def recording(engine: Engine, folder: Path) -> Iterator[Served]:
    config = ServerConfig(
        token="kept", requests_per_second=50, recordings=str(folder), recording_free_mib=0
    )
    with serve_in_thread(create_app(config, engine)) as served:
        yield served


def talk(page: Page) -> None:
    page.click("#secondary")
    wait_for(page, "live")


def record(page: Page, seconds: int) -> None:
    page.click("#record")
    until(page, f"document.getElementById('badge-time').textContent === '0:0{seconds}'")
    assert page.inner_text("#badge-text") == "Recording"
    assert page.get_attribute("#record", "aria-pressed") == "true"


def saved(page: Page, folder: Path) -> tuple[Path, dict[str, int]]:
    """Save it; the file and how many packets each of its kinds of stream has."""
    with page.expect_download() as coming:
        page.click("#recorded-save")
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    counts: dict[str, int] = {}
    with av.open(str(path)) as file:
        for packet in file.demux():
            counts[packet.stream.type] = counts.get(packet.stream.type, 0) + bool(packet.size)
    return path, counts


def test_the_server_records_and_the_page_gives_the_file(
    open_page: Open, recording: Served, folder: Path, tmp_path: Path
) -> None:
    page = open_page("?token=kept", url=recording.url)
    assert not page.is_visible("#record")
    talk(page)
    record(page, 1)
    page.keyboard.press("Tab")
    page.click("#record")
    until(page, SHOWN)
    assert page.inner_text("#recorded-text") in ("0:01 recorded", "0:02 recorded")
    assert page.get_attribute("#record", "aria-pressed") == "false"
    assert page.inner_text("#badge-text") == "Live"
    [file] = folder.glob("*.mp4")
    path, counts = saved(page, tmp_path)
    assert path.name == "presenter.mp4" and path.read_bytes() == file.read_bytes()
    assert 20 <= counts["video"] <= 100 and counts["audio"] > 40
    assert page.evaluate(PLAYED, file.name) == [128, 128, None]
    page.click("#recorded-close")
    assert not page.is_visible("#recorded")
    # Whoever ends the conversation first loses nothing.
    record(page, 1)
    page.click("#primary")
    wait_for(page, "ready")
    until(page, SHOWN)
    _, counts = saved(page, tmp_path)
    assert counts["video"] >= 15
    assert len(list(folder.glob("*.mp4"))) == 2


def test_a_refusal_is_said_and_the_conversation_goes_on(open_page: Open, recording: Served) -> None:
    page = open_page("?token=kept", url=recording.url)
    talk(page)
    page.evaluate("visavis.client.record()")
    page.wait_for_timeout(300)
    page.click("#record")
    until(page, SHOWN)
    said = page.inner_text("#recorded-text")
    assert said == "That cannot be recorded. This session is being recorded already."
    assert not page.is_visible("#recorded-save")
    assert page.get_attribute("body", "data-state") == "live"
    assert page.get_attribute("#record", "aria-pressed") == "false"


def test_who_is_recorded_anyway_is_told_so(open_page: Open, engine: Engine, tmp_path: Path) -> None:
    config = ServerConfig(
        requests_per_second=50, recordings=str(tmp_path), record_all=True, recording_free_mib=0
    )
    with serve_in_thread(create_app(config, engine)) as served:
        page = open_page(url=served.url)
        assert page.inner_text("footer").endswith("the server records every conversation.")
        talk(page)
        assert page.inner_text("#badge-text") == "Recording"
        assert not page.is_visible("#record")
        page.click("#primary")
        wait_for(page, "ready")


def test_the_browser_records_where_the_server_does_not(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    talk(page)
    asked = "visavis.client.record().catch((error) => [error.kind, error.status])"
    assert page.evaluate(asked) == ["refused", 403]  # no token would change it
    record(page, 1)
    page.click("#record")
    until(page, SHOWN)
    path, counts = saved(page, tmp_path)
    assert path.name == "presenter.webm"
    assert counts["video"] > 5 and counts["audio"] > 10
