"""What tests with a real browser share: where browsers are, a voice, a served page."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from starlette.types import ASGIApp

__all__ = [
    "CHROMIUM_NAMES",
    "Served",
    "chromium_arguments",
    "find_chromium",
    "find_firefox",
    "serve_in_thread",
    "spoken_wave",
]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
RATE = 48_000


def find_chromium() -> str:
    """The path of a Chromium; skips the test where there is none."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is not installed")


def find_firefox() -> str:
    """The path of a Firefox; skips the test where there is none."""
    for name in ("firefox-esr", "firefox"):
        if path := shutil.which(name):
            return path
    pytest.skip("Firefox is not installed")


def chromium_arguments(voice: Path | None = None) -> list[str]:
    """Arguments for headless tests; ``voice`` is a WAV file that the microphone plays in a loop."""
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    if voice is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={voice}")
    return arguments


def spoken_wave(path: Path, *, before: float = 1.5, after: float = 4.0) -> float:
    """Write a WAV file with a spoken sentence between silences (seconds); returns its length.

    The sentence is synthesised by espeak-ng or flite; skips the test where there is neither.
    """
    text = "Hello there. Five brave foxes jumped."
    raw = path.with_suffix(".raw.wav")
    if program := shutil.which("espeak-ng"):
        command = [program, "-v", "en-us", "-s", "160", "-w", str(raw), text]
    elif program := shutil.which("flite"):
        command = [program, "-t", text, "-o", str(raw)]
    else:
        pytest.skip("neither espeak-ng nor flite is installed")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with wave.open(str(raw)) as file:
        rate = file.getframerate()
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32)
    speech = np.interp(np.arange(0, len(data) / rate, 1 / RATE), np.arange(len(data)) / rate, data)
    loud = np.flatnonzero(np.abs(speech) > 300)
    speech = speech[loud[0] : loud[-1]]
    pieces = [np.zeros(int(before * RATE)), speech, np.zeros(int(after * RATE))]
    samples: NDArray[np.int16] = np.concatenate(pieces).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return len(samples) / RATE


@dataclass(frozen=True, slots=True)
class Served:
    """An application that answers at ``url``."""

    url: str


@contextlib.contextmanager
def serve_in_thread(app: ASGIApp) -> Iterator[Served]:
    """Run an application on a free port of this machine, on a loop in a thread of its own."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="server")
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("the server ended before it had started")
                time.sleep(0.01)
            yield Served(f"http://localhost:{port}/")
        finally:
            server.should_exit = True
            thread.join()
