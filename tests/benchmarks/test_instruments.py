from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.benchmarks.live import barcode
from visavis.benchmarks.live.instruments import BarcodeEngine, EchoEngine, checksum
from visavis.benchmarks.live.records import ServerRecord
from visavis.engines.client import Frame
from visavis.engines.errors import UnknownPerson


def pictures(count: int) -> list[NDArray[np.uint8]]:
    """Different grey I420 frames of 256 x 256."""
    return [np.full((384, 256), 40 + k, np.uint8) for k in range(count)]


def talk(engine: BarcodeEngine, ticks: int, chunk: int = 320) -> list[Frame]:
    """Push this many ticks of noise in chunks and close."""
    frames: list[Frame] = []
    session = engine.open("echo", frames.append)
    rng = np.random.default_rng(1)
    for _ in range(ticks * 640 // chunk):
        session.push(rng.normal(0, 0.1, chunk).astype(np.float32))
    session.close()
    session.close()
    return frames


def test_the_echo_gives_each_frame_as_soon_as_its_own_sound_is_there() -> None:
    seen: list[int] = []
    session = EchoEngine(pictures(3)).open("echo", lambda frame: seen.append(frame.index))
    session.push(np.zeros(639, np.float32))
    assert seen == []
    session.push(np.zeros(1, np.float32))
    assert seen == [0]
    session.push(np.zeros(1300, np.float32))
    assert seen == [0, 1, 2]


def test_the_echos_pictures_change_from_frame_to_frame(tmp_path: Path) -> None:
    frames: list[Frame] = []
    session = EchoEngine(pictures(4)).open("echo", frames.append)
    session.push(np.zeros(640 * 20, np.float32))
    sums = [checksum(frame.i420) for frame in frames]
    assert all(a != b for a, b in zip(sums, sums[1:], strict=False))


def test_frames_belong_to_the_receiver() -> None:
    frames: list[Frame] = []
    session = EchoEngine(pictures(2)).open("echo", frames.append)
    session.push(np.zeros(640, np.float32))
    frames[0].i420[:] = 0
    session.push(np.zeros(640 * 2, np.float32))
    assert frames[2].i420[0, 0] == 40


def test_every_frame_is_labelled_and_the_record_tells_when_it_came(tmp_path: Path) -> None:
    frames = talk(BarcodeEngine(EchoEngine(pictures(5)), tmp_path), ticks=10)
    assert [barcode.decode(frame.i420[:256]) for frame in frames] == list(range(10))
    record = ServerRecord.load(tmp_path / "session-1.npz")
    assert record.index.tolist() == list(range(10))
    assert record.lookahead_ms == 40
    assert record.pcm.size == 6400
    assert (np.diff(record.made) >= 0).all()
    assert (record.made >= record.given(record.index * 640 + 639)).all()
    assert (np.diff(record.picture.astype(np.int64)) != 0).all()
    assert record.overhead_s > 0


def test_the_checksum_is_of_the_engines_picture_not_of_the_label(tmp_path: Path) -> None:
    """A frozen engine must not look alive because its labels count on."""
    frozen = EchoEngine([pictures(1)[0], pictures(1)[0].copy()])
    talk(BarcodeEngine(frozen, tmp_path), ticks=8)
    record = ServerRecord.load(tmp_path / "session-1.npz")
    assert np.unique(record.picture).size == 1


def test_samples_are_dated_by_the_push_that_brought_them(tmp_path: Path) -> None:
    talk(BarcodeEngine(EchoEngine(pictures(2)), tmp_path), ticks=2, chunk=160)
    record = ServerRecord.load(tmp_path / "session-1.npz")
    assert record.given(np.array([0, 159]))[0] == record.push_time[0]
    assert record.given(np.array([159]))[0] == record.push_time[0]
    assert record.given(np.array([160]))[0] == record.push_time[1]
    assert np.isnan(record.given(np.array([1280]))[0])


def test_sessions_are_numbered_in_the_order_of_opening(tmp_path: Path) -> None:
    engine = BarcodeEngine(EchoEngine(pictures(2)), tmp_path)
    talk(engine, 1)
    talk(engine, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["session-1.npz", "session-2.npz"]


def test_refusals_of_the_measured_engine_come_through(tmp_path: Path) -> None:
    engine = BarcodeEngine(EchoEngine(pictures(2)), tmp_path)
    with pytest.raises(UnknownPerson):
        engine.open("nobody", lambda frame: None)


def test_pushed_sound_is_kept_even_if_the_caller_reuses_its_array(tmp_path: Path) -> None:
    engine = BarcodeEngine(EchoEngine(pictures(2)), tmp_path)
    seen: list[Frame] = []
    take: Callable[[Frame], None] = seen.append
    session = engine.open("echo", take)
    buffer = np.full(640, 0.25, np.float32)
    session.push(buffer)
    buffer[:] = 0
    session.close()
    assert (ServerRecord.load(tmp_path / "session-1.npz").pcm == 0.25).all()
