"""A recording in a real browser: picture and sound, to its end, also where it was cut off."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.server.fake_engine import draw
from visavis.server.media.mp4 import Mp4

SIZE = 128
SECONDS = 3
LOOK_AT = """async (address) => {
  const video = document.createElement("video");
  video.src = address;
  const failed = new Promise((_, no) => video.onerror = () => no(video.error.message));
  const when = (name) => Promise.race([failed, new Promise((yes) => video["on" + name] = yes)]);
  await when("loadeddata");
  const duration = video.duration;
  const at = async (time) => {
    video.currentTime = time;
    await when("seeked");
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let index = 0;
    for (let bit = 0; bit < 16; bit++) {
      const x = 16 * (bit % 4) + 8, y = 16 * Math.floor(bit / 4) + 8;
      if (pixels[4 * (y * canvas.width + x)] > 125) index += 2 ** bit;
    }
    return index;
  };
  const shown = [await at(0.02), await at(1.50), await at(0.62)];
  video.currentTime = 0;
  video.playbackRate = 4;
  await video.play();
  await when("ended");
  return {duration, shown, size: [video.videoWidth, video.videoHeight],
          sound: video.webkitAudioDecodedByteCount, picture: video.webkitVideoDecodedByteCount};
}"""


@pytest.mark.parametrize("whole", [True, False])
def test_a_browser_plays_it(browser: Browser, tmp_path: Path, whole: bool) -> None:
    path = tmp_path / "recording.mp4"
    with path.open("wb", buffering=0) as file:
        movie = Mp4(file, SIZE, SIZE, title="Fake")
        for tick in range(25 * SECONDS):
            movie.picture(tick, draw(tick, 0.5, SIZE, SIZE))
            phase = np.arange(tick * 1920, (tick + 1) * 1920) * 2 * np.pi * 440 / 48_000
            movie.voice((0.5 * np.sin(phase)).astype(np.float32))
        cut = os.fstat(file.fileno()).st_size
        movie.close()
        if not whole:
            os.truncate(file.fileno(), cut)  # as a killed process leaves it
    page = browser.new_page()
    try:
        encoded = base64.b64encode(path.read_bytes()).decode()
        found = page.evaluate(LOOK_AT, f"data:video/mp4;base64,{encoded}")
    finally:
        page.close()
    assert found["size"] == [SIZE, SIZE] and found["sound"] > 0 and found["picture"] > 0
    assert found["shown"] == [0, 37, 15]
    assert abs(found["duration"] - (SECONDS if whole else SECONDS - 1)) < 0.1
