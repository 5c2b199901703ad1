"""Run in Pipecat's own environment by test_pipecat.py: the video service in a real pipeline.

Prints what came out of it, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from visavis.clients.pipecat_video import VisavisVideoService


def level(image: OutputImageRawFrame) -> int:
    """How bright the block is that the fake engine lets be as bright as the sound is loud."""
    width, height = image.size
    rgb = np.frombuffer(image.image, np.uint8).reshape(height, width, 3)
    return int(rgb[68:76, 8:56].mean())


def utterance(seconds: float, rate: int, channels: int = 1) -> list[Frame]:
    t = np.arange(round(seconds * rate)) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * t) * 32767).astype("<i2")
    pcm = np.repeat(tone, channels).reshape(-1, channels)
    step = rate // 25
    pieces: list[Frame] = [
        TTSAudioRawFrame(pcm[i : i + step].tobytes(), rate, channels)
        for i in range(0, len(pcm), step)
    ]
    return [TTSStartedFrame(), *pieces, TTSStoppedFrame()]


def note(down: Sequence[Frame], up: Sequence[Frame]) -> dict[str, Any]:
    """What came out: the voice, the pictures, and the order of all else."""
    voice = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    images = [frame for frame in down if isinstance(frame, OutputImageRawFrame)]
    pcm = np.frombuffer(b"".join(frame.audio for frame in voice), "<i2")
    loud = np.flatnonzero(np.abs(pcm) > 1500)
    names: list[str] = []
    for frame in down:
        name = type(frame).__name__
        if not isinstance(frame, OutputImageRawFrame) and names[-1:] != [name]:
            names.append(name)
    return {
        "rates": sorted({frame.sample_rate for frame in voice}),
        "voice_s": len(pcm) / 48_000,
        "loud_s": (int(loud[-1]) - int(loud[0])) / 48_000 if len(loud) else 0.0,
        "gap": int(np.diff(loud).max()) if len(loud) > 1 else 0,
        "images": len(images),
        "image": [*images[0].size, images[0].format, len(images[0].image)] if images else [],
        "levels": [level(image) for image in images],
        "names": names,
        "errors": sum(isinstance(frame, ErrorFrame) for frame in up),
    }


async def run(service: VisavisVideoService, frames: list[Frame]) -> dict[str, Any]:
    down, up = await run_test(service, frames_to_send=frames, start_timeout=10)
    return note(down, up)


async def main(url: str, token: str) -> dict[str, Any]:
    def service(token: str = token) -> VisavisVideoService:
        return VisavisVideoService(server=url, token=token)

    return {
        "whole": await run(service(), utterance(1.5, 16_000)),
        "two": await run(service(), [*utterance(0.3, 24_000), *utterance(0.3, 44_100, 2)]),
        "interrupted": await run(
            service(),
            [
                *utterance(20, 24_000),
                SleepFrame(sleep=1.2),
                InterruptionFrame(),
                SleepFrame(sleep=0.4),
                *utterance(0.5, 24_000),
            ],
        ),
        "refused": await run(service("wrong"), utterance(0.2, 24_000)),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
