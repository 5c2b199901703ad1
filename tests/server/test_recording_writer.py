"""A recording's thread: slow disks, full disks, limits. No session and no clock."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.server.fake_engine import draw
from tests.server.recordings import play
from visavis.engines.client import Frame
from visavis.server.look.look import Look
from visavis.server.media.mp4 import Movie, Mp4
from visavis.server.recording import inbox
from visavis.server.recording import recording as recording_module
from visavis.server.recording.recording import Paint, Recording, RecordingLimits
from visavis.server.recording.store import Store, new_name
from visavis.server.recording.tally import Tally

SIZE = 128
LOOK = Look(SIZE, SIZE)


class Disk:
    """A movie that is written when it is let; it notes what comes."""

    def __init__(self) -> None:
        self.goes = threading.Event()
        self.goes.set()
        self.busy = threading.Event()
        self.ticks: list[int] = []
        self.samples = 0
        self.closed = False

    def picture(self, tick: int, i420: NDArray[np.uint8]) -> None:
        self.ticks.append(tick)
        self._wait()

    def voice(self, pcm: NDArray[np.float32]) -> None:
        self.samples += len(pcm)
        self._wait()

    def close(self) -> None:
        self._wait()
        self.closed = True

    def _wait(self) -> None:
        self.busy.set()
        assert self.goes.wait(30)


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(recording_module, "LOOK_SECONDS", 0.01)
    yield
    left = [t.name for t in threading.enumerate() if t.name == "visavis-record" and t.is_alive()]
    assert not left


def as_it_is(look: Look, frame: Frame) -> NDArray[np.uint8]:
    return frame.i420


def begin(
    folder: Path,
    open_movie: Callable[[BinaryIO], Movie],
    *,
    hours: float = 1.0,
    paint: Paint = as_it_is,
    store: Store | None = None,
) -> tuple[Recording, Tally]:
    tally = Tally()
    recording = Recording(
        new_name(0),
        store or Store(folder, free_mib=0),
        RecordingLimits(hours),
        open_movie=open_movie,
        paint=paint,
        tally=tally,
    )
    return recording, tally


def mp4(file: BinaryIO) -> Movie:
    return Mp4(file, SIZE, SIZE, title="Fake")


def give(recording: Recording, tick: int, *, wait: bool = False) -> None:
    """A picture and the voice that belongs to it."""
    recording.frame(tick, Frame(tick, 0, draw(tick, 0.5, SIZE, SIZE), 0.5), LOOK)
    for step in (2 * tick, 2 * tick + 1):
        recording.voice(step * 960, np.full(960, 0.25, np.float32))
    if wait:
        end = (tick + 1) / 25
        until(lambda: not recording.running or recording.status()["seconds"] >= end)


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def test_a_slow_disk_loses_pictures_and_no_voice(tmp_path: Path) -> None:
    disk = Disk()
    recording, tally = begin(tmp_path, lambda file: disk)
    give(recording, 0, wait=True)
    disk.goes.clear()
    disk.busy.clear()
    for tick in range(1, 201):
        give(recording, tick)
        if tick == 1:
            assert disk.busy.wait(10)
    assert len(recording._inbox._waiting) <= inbox.MAX_PICTURES + 2 * 200
    disk.goes.set()
    await recording.stop()
    status = recording.status()
    assert disk.samples == 201 * 1920 and status["seconds"] == pytest.approx(201 / 25, abs=0.01)
    # Those that there was room for, and then the last one again each second.
    kept = int(np.argmax(np.diff(disk.ticks) > 1)) + 1
    assert inbox.MAX_PICTURES <= kept - 1 <= inbox.MAX_PICTURES + 1
    assert disk.ticks[:kept] == list(range(kept)) and set(np.diff(disk.ticks[kept:])) == {25}
    assert status["dropped_frames"] == tally.dropped_frames == 201 - kept
    assert disk.closed and status["failed"] is None and tally.running == 0


async def test_a_disk_that_stands_still_for_long_loses_voice_at_last(tmp_path: Path) -> None:
    disk = Disk()
    recording, _ = begin(tmp_path, lambda file: disk)
    give(recording, 0, wait=True)
    disk.goes.clear()
    for tick in range(1, inbox.MAX_VOICE):
        give(recording, tick)
    assert len(recording._inbox._waiting) <= inbox.MAX_VOICE + inbox.MAX_PICTURES
    disk.goes.set()
    until(lambda: not recording._inbox._waiting)
    give(recording, inbox.MAX_VOICE)
    await recording.stop()
    # What was lost is silence: the file is as long as the session was.
    assert disk.samples == (inbox.MAX_VOICE + 1) * 1920


async def test_a_full_disk_ends_it_with_a_sentence(tmp_path: Path) -> None:
    class Full:
        most = 40_000

        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            if self.file.tell() > self.most:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data[:500])  # and it takes less than it was given

        def truncate(self, size: int) -> int:
            return self.file.truncate(size)

    recording, tally = begin(tmp_path, lambda file: mp4(Full(file)))  # type: ignore[arg-type]
    for tick in range(400):
        give(recording, tick, wait=True)
        if not recording.running:
            break
    assert not recording.running
    await recording.stop()
    status = recording.status()
    assert status["failed"] == "It could not be written: the disk is full."
    assert tally.failures == 1 and tally.running == 0
    store = Store(tmp_path)
    assert [entry.state for entry in store.entries()] == ["interrupted"]
    played = play(tmp_path / recording.name)
    # Up to the last second that was written whole.
    assert len(played.ticks) % 25 == 0 and played.ticks == played.indices == list(
        range(len(played.ticks))
    )
    assert played.seconds > len(played.ticks) / 25 - 0.1
    # A disk that takes nothing at all keeps no file.
    Full.most = -1
    other, _ = begin(tmp_path, lambda file: mp4(Full(file)))  # type: ignore[arg-type]
    for tick in range(400):
        give(other, tick, wait=True)
        if not other.running:
            break
    assert other.status()["failed"] == status["failed"] and len(store.entries()) == 1
    # What comes after that is not kept.
    give(recording, 1000)
    assert not recording._inbox._waiting


async def test_a_short_write_is_gone_on_with(tmp_path: Path) -> None:
    class Short:
        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            return self.file.write(data[:7])

    recording, _ = begin(tmp_path, lambda file: mp4(Short(file)))  # type: ignore[arg-type]
    for tick in range(60):
        give(recording, tick, wait=True)
    await recording.stop()
    assert play(tmp_path / recording.name).ticks == list(range(60))
    assert Store(tmp_path).entries()[0].state == "whole"


async def test_it_ends_whole_after_the_longest_time(tmp_path: Path) -> None:
    recording, tally = begin(tmp_path, mp4, hours=1 / 3600)
    for tick in range(500):
        give(recording, tick, wait=True)
        if not recording.running:
            break
    await recording.stop()
    failed = recording.status()["failed"]
    assert failed is not None and failed.startswith("It ended after")
    assert tally.failures == 0 and Store(tmp_path).entries()[0].state == "whole"
    assert 1 <= play(tmp_path / recording.name).seconds < 3


async def test_it_leaves_the_disk_the_room_it_must(tmp_path: Path) -> None:
    class Shrinking(Store):
        lack: str | None = None

        def lack_of_room(self) -> str | None:
            return self.lack

    store = Shrinking(tmp_path)
    recording, tally = begin(tmp_path, mp4, store=store)
    for tick in range(30):
        give(recording, tick, wait=True)
    store.lack = "There is no room."
    for tick in range(30, 500):
        give(recording, tick, wait=True)
        if not recording.running:
            break
    await recording.stop()
    assert recording.status()["failed"] == "There is no room." and tally.failures == 1
    assert store.entries()[0].state == "whole"
    # And none is begun.
    late, _ = begin(tmp_path, mp4, store=store)
    give(late, 0)
    await late.stop()
    assert late.status()["failed"] == "There is no room." and len(store.entries()) == 1


async def test_a_picture_that_cannot_be_painted_ends_the_recording_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def paint(look: Look, frame: Frame) -> NDArray[np.uint8]:
        raise ValueError("the brush is gone")

    recording, tally = begin(tmp_path, mp4, paint=paint)
    give(recording, 0)
    await recording.stop()
    assert recording.status()["failed"] == "It failed; the server's log says why."
    assert "the brush is gone" in caplog.text and tally.failures == 1


async def test_each_picture_is_painted_once_with_the_look_it_had(tmp_path: Path) -> None:
    disk = Disk()
    looks = [LOOK, Look(SIZE, SIZE)]
    painted: list[tuple[Look, int]] = []

    def paint(look: Look, frame: Frame) -> NDArray[np.uint8]:
        painted.append((look, frame.index))
        return frame.i420

    recording, _ = begin(tmp_path, lambda file: disk, paint=paint)
    for tick in range(2):
        recording.frame(tick, Frame(tick, 0, draw(tick, 0, SIZE, SIZE), 0), looks[tick])
    for step in range(200):
        recording.voice(step * 960, np.zeros(960, np.float32))
    await recording.stop()
    assert disk.ticks == [0, 1, 26, 51, 76]
    assert painted == [(looks[0], 0), (looks[1], 1)]


async def test_a_disk_that_never_answers_does_not_hold_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "STOP_SECONDS", 0.05)
    disk = Disk()
    recording, _ = begin(tmp_path, lambda file: disk)
    give(recording, 0, wait=True)
    disk.goes.clear()
    give(recording, 1)
    await recording.stop()
    assert "does not answer" in recording.status()["failed"]
    disk.goes.set()
    recording._thread.join(10)
    assert disk.closed


async def test_without_a_picture_there_is_no_file(tmp_path: Path) -> None:
    recording, tally = begin(tmp_path, mp4)
    for step in range(500):
        recording.voice(step * 960, np.zeros(960, np.float32))
    await recording.stop()
    assert recording.status()["failed"] == "Nothing was recorded: there was no picture."
    assert not os.listdir(tmp_path) and tally.failures == 0
