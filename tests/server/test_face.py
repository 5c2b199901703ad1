"""Which frames are encoded, when they leave, and which are left out."""

from __future__ import annotations

import numpy as np

from visavis.engines.client import Frame
from visavis.server.media.encoder import Encoded
from visavis.server.media.face import FaceLine, Job


def frame(index: int, generation: int = 0) -> Frame:
    return Frame(index, generation, np.zeros((6, 4), np.uint8), 0.0)


def done(job: Job | None, *, distinct: bool = True) -> Encoded:
    assert job is not None
    return Encoded(job.index, b"frame", job.key, distinct, 1.0)


def push(face: FaceLine, index: int, now: float) -> Job | None:
    face.offer(frame(index), due=0.04 * index, now=now)
    return face.next_job(due_of_first=0.0, now=now)


def test_an_early_frame_waits_for_its_voice() -> None:
    face = FaceLine()
    face.encoded(done(push(face, 1, now=0.02)))
    assert face.send(due_of_first=0.0, now=0.039) == []
    assert [e.index for e in face.send(due_of_first=0.0, now=0.040)] == [1]
    assert face.sent == 1 and face.skipped_late == face.skipped_busy == face.discarded == 0


def test_a_frame_that_is_late_for_its_whole_voice_is_skipped_not_queued() -> None:
    face = FaceLine()
    assert push(face, 1, now=0.085) is None
    assert face.skipped_late == 1
    # The next one is on time and is not held up.
    assert push(face, 2, now=0.090) is not None


def test_where_every_frame_is_late_one_still_leaves_twice_a_second() -> None:
    face = FaceLine()
    shown = []
    for index in range(50):
        job = push(face, index, now=0.04 * index + 0.3)
        if job is not None:
            shown.append(index)
            face.encoded(done(job))
            face.send(due_of_first=0.0, now=0.04 * index + 0.3)
    assert shown == [13, 26, 39]
    assert face.sent == 3 and face.skipped_late == 47


def test_a_frame_within_its_voice_leaves_at_once() -> None:
    face = FaceLine()
    face.encoded(done(push(face, 1, now=0.055)))
    assert [e.index for e in face.send(due_of_first=0.0, now=0.058)] == [1]


def test_while_the_encoder_is_busy_only_the_newest_frame_waits() -> None:
    face = FaceLine()
    job = push(face, 0, now=0.0)
    assert push(face, 1, now=0.01) is None
    assert push(face, 2, now=0.02) is None
    assert face.skipped_busy == 1
    face.encoded(done(job))
    job = face.next_job(due_of_first=0.0, now=0.03)
    assert job is not None and job.index == 2


def test_a_frame_that_became_late_while_it_waited_is_not_encoded() -> None:
    face = FaceLine()
    job = push(face, 0, now=0.0)
    push(face, 1, now=0.01)
    face.encoded(done(job))
    assert face.next_job(due_of_first=0.0, now=0.2) is None
    assert face.skipped_late == 1


def test_what_was_encoded_is_always_sent_in_order() -> None:
    """Later frames refer to it, so it may be late but not missing."""
    face = FaceLine()
    for index in range(3):
        face.encoded(done(push(face, index, now=0.0)))
    assert [e.index for e in face.send(due_of_first=0.0, now=5.0)] == [0, 1, 2]


def test_the_waiting_line_is_bounded() -> None:
    face = FaceLine()
    for index in range(100):
        job = push(face, index, now=0.0)
        if job is None:
            break
        face.encoded(done(job))
    assert index <= 8


def test_older_generations_and_older_frames_are_discarded() -> None:
    face = FaceLine()
    face.encoded(done(push(face, 5, now=0.0)))
    face.clear(2)
    assert push(face, 6, now=0.0) is None
    assert push(face, 5, now=0.0) is None
    assert face.discarded == 2
    face.offer(frame(7, generation=2), due=0.28, now=0.0)
    assert face.next_job(due_of_first=0.0, now=0.0) is not None


def test_key_frames_on_request_but_not_in_a_storm() -> None:
    face = FaceLine()
    keys = []
    for index in range(50):
        face.want_key_frame()
        now = 0.04 * index
        job = push(face, index, now=now)
        assert job is not None
        keys.append(job.key)
        face.encoded(done(job))
        face.send(due_of_first=0.0, now=now)
    assert keys[0]
    assert sum(keys) == 5  # every 0.4 s of two seconds


def test_a_failed_encode_asks_for_a_key_frame() -> None:
    face = FaceLine()
    assert push(face, 0, now=1e9) is None
    job = push(face, 30_000_000_000, now=1e9)
    assert job is not None and not job.key
    face.encoded(None)
    job = push(face, 30_000_000_001, now=1e9)
    assert job is not None and job.key


def test_after_a_pause_the_first_frame_stands_alone() -> None:
    face = FaceLine()
    face.encoded(done(push(face, 0, now=0.0)))
    face.restart()
    assert face.send(due_of_first=0.0, now=1.0) == []
    job = push(face, 50, now=2.0)
    assert job is not None and job.key


def test_frames_that_repeat_are_counted_apart() -> None:
    face = FaceLine()
    face.encoded(done(push(face, 0, now=0.0)))
    face.encoded(done(push(face, 1, now=0.0), distinct=False))
    face.send(due_of_first=0.0, now=1.0)
    assert (face.sent, face.distinct) == (2, 1)
