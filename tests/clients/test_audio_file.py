"""A sound file in a microphone's place: the same sound, in step with time."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from visavis.clients.audio_file import AudioFile
from visavis.clients.errors import ClientError


def spoken(path: Path, seconds: float, rate: int) -> Path:
    t = np.arange(round(seconds * rate)) / rate
    pcm = np.round(12_000 * np.sin(2 * np.pi * 300 * t)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(pcm, 2).tobytes())
    return path


async def test_it_is_heard_whole_and_in_time(tmp_path: Path) -> None:
    path = spoken(tmp_path / "tone.wav", 0.51, 44_100)
    begin = asyncio.get_running_loop().time()
    pieces, when = [], []
    async for piece in AudioFile(path).pieces():
        pieces.append(piece)
        when.append(asyncio.get_running_loop().time() - begin)
    assert {len(piece) for piece in pieces} == {1920} and len(pieces) == 26
    assert all(at >= 0.02 * number - 0.002 for number, at in enumerate(when)), "never early"
    pcm = np.frombuffer(b"".join(pieces), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(pcm[:24_000]))
    assert abs(np.argmax(spectrum) * 2 - 300) <= 2, "at its own pitch"
    assert 11_000 < pcm.max() < 13_000


async def test_it_begins_again(tmp_path: Path) -> None:
    path = spoken(tmp_path / "tone.wav", 0.06, 48_000)
    pieces = AudioFile(path, loop=True).pieces()
    got = [await anext(pieces) for _ in range(9)]
    await pieces.aclose()
    assert got[0:3] == got[3:6] == got[6:9] and any(got[0])


async def test_what_is_no_sound_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    for path, words in (
        (tmp_path / "absent.wav", "cannot be read as sound"),
        (tmp_path / "text.wav", "cannot be read as sound"),
        (spoken(tmp_path / "empty.wav", 0.0, 48_000), "There is no sound in"),
    ):
        with pytest.raises(ClientError, match=words):
            await anext(AudioFile(path, loop=True).pieces())
