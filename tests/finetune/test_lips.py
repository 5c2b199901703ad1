"""Training, fitting and measuring the lips, on data small enough to check by thought."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from visavis.finetune.lips.fit import Measured, fit_person_map
from visavis.finetune.lips.listen import frames_of, hear, live_tract
from visavis.finetune.lips.streams import Streams, load_recording
from visavis.finetune.lips.train import load_motion, train
from visavis.finetune.speech.gestures import gestures
from visavis.finetune.speech.phones import PHONES, Phone
from visavis.models.motion import LOOKAHEADS, Motion, MotionConfig

TIMES = (np.arange(500) + 0.5) / 25.0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A second thread that waits for a busy core makes small networks many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def phrase(seconds: float = 18.0) -> list[Phone]:
    rng = np.random.default_rng(0)
    names = "m aa t iy p ow s eh b ae f uw l ih v ah w er k ay".replace("ow", "oh").replace(
        "ay", "ih"
    )
    out, at = [], 1.0
    while at < seconds:
        name = str(rng.choice(names.split()))
        length = float(rng.uniform(0.06, 0.14))
        out.append(Phone(name, at, at + length, 1.0))
        at += length
    return out


@pytest.fixture(scope="module")
def measured() -> tuple[Measured, np.ndarray, np.ndarray]:
    """A face that is made of its moves by a known map, with noise."""
    rng = np.random.default_rng(1)
    tract = gestures(phrase(), TIMES)
    true = rng.normal(size=(8, 6)).astype(np.float32)
    rest = rng.normal(size=8).astype(np.float32)
    moves = tract[:, :6].copy()
    # As tracked: distances with origins of their own, and a width that opening narrows.
    width = 0.6 + moves[:, 2] - 0.2 * moves[:, 0]
    coefficients = rest + moves @ true.T + rng.normal(0, 0.002, (500, 8)).astype(np.float32)
    face = Measured(
        coefficients=coefficients.astype(np.float32),
        rest=rest,
        size=np.ones(8, np.float32),
        aperture=moves[:, 0] + 0.004,
        jaw=moves[:, 1] + 0.3,
        width=width.astype(np.float32),
    )
    return face, tract, true


def test_the_map_of_a_face_is_found(measured: tuple[Measured, np.ndarray, np.ndarray]) -> None:
    face, tract, true = measured
    fitted = fit_person_map(face, tract)
    assert fitted.explained > 0.97
    error = np.abs(tract[:, :6] @ (fitted.map - true).T)
    assert error.mean() < 0.1 * np.abs(tract[:, :6] @ true.T).mean()
    assert fitted.closures > 10 and fitted.contacts > 5
    shut = face.rest + true @ tract[tract[:, 6] > 0.5, :6].mean(0)
    assert np.allclose(fitted.closed, shut, atol=0.1)


def test_what_was_not_said_explains_nothing(
    measured: tuple[Measured, np.ndarray, np.ndarray],
) -> None:
    face, tract, _ = measured
    rng = np.random.default_rng(0)
    shuffled = Measured(
        rng.permutation(face.coefficients),
        face.rest,
        face.size,
        face.aperture,
        face.jaw,
        face.width,
    )
    assert fit_person_map(shuffled, tract).explained < 0.2


def test_a_silent_clip_is_refused(measured: tuple[Measured, np.ndarray, np.ndarray]) -> None:
    face, tract, _ = measured
    with pytest.raises(ValueError, match="speech"):
        fit_person_map(face, np.zeros_like(tract))


def _write_sessions(folder: Path, count: int, voice: str) -> list[Path]:
    """Sessions in which band 10 says how open the mouth is, and band 20 if there is speech."""
    paths = []
    for i in range(count):
        rng = np.random.default_rng([i, len(voice)])
        said, at = [], 0.5
        while at < 13.0:
            length = float(rng.uniform(0.08, 0.3))
            name = str(rng.choice(["aa", "iy", "m", "s", "uw", "pau"]))
            said.append((PHONES.index(name), at, at + length, 1.0, 0.0))
            at += length
        phones = [Phone(PHONES[int(row[0])], *row[1:4]) for row in said]
        steps = 700
        tract = gestures(phones, (np.arange(steps) + 0.5) / 50.0)
        features = rng.normal(0, 0.1, (2 * steps, 66))
        features[:, 10] += np.repeat(tract[:, 0], 2) * 20 - 2
        features[:, 20] += np.repeat(tract[:, 8], 2)
        path = folder / f"{voice.replace(':', '_')}-{i}.npz"
        np.savez(
            path,
            voice=np.array(voice),
            features=features.astype(np.float16),
            said=np.array(said, np.float32),
        )
        paths.append(path)
    return paths


def test_every_head_is_paired_with_what_it_is_to_show(tmp_path: Path) -> None:
    recordings = [load_recording(p, 200) for p in _write_sessions(tmp_path, 3, "flite:slt")]
    streams = Streams(recordings, LOOKAHEADS, 2, seed=0)
    for _ in range(20):
        batch = streams.take(50)
        assert batch.features.shape == (2, 200, 66) and batch.tract.shape == (2, 5, 100, 9)
        heard = (batch.features[0, ::2, 10] + 2) / 20
        for head, ms in enumerate(LOOKAHEADS):
            # A tick's rows end where the look-ahead ends: its frame began so much earlier.
            late = ms // 20 - 2
            shown = batch.tract[0, head, :, 0]
            r = np.corrcoef(heard[: 100 - late], shown[late:])[0, 1]
            assert r > 0.95


STEPS = 40


def test_training_learns_and_resumes(tmp_path: Path) -> None:
    paths = _write_sessions(tmp_path, 6, "flite:slt") + _write_sessions(tmp_path, 2, "flite:kal")
    out = tmp_path / "run"
    small = MotionConfig(stem=24, width=32, hidden=32)
    train(paths, out, last=STEPS, streams=4, ticks=40, config=small)
    first = len((out / "metrics.jsonl").read_text().splitlines())
    train(paths, out, last=STEPS, streams=4, ticks=40)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["steps"] > lines[first - 1]["steps"]
    assert lines[-1]["r_aperture"] > 0.4
    assert isinstance(load_motion(out / "motion.pt"), Motion)


def test_hearing_gives_a_frame_for_every_40_ms_of_every_head() -> None:
    motion = Motion()
    sound = np.random.default_rng(0).normal(0, 0.05, 16000 * 2).astype(np.float32)
    ticks = hear(motion, sound)
    assert ticks.shape == (55, 5, 2, 9)
    assert (ticks[..., 6:] >= 0).all() and (ticks[..., 6:] <= 1).all()
    for ms in LOOKAHEADS:
        assert frames_of(ticks, ms).shape == (50, 2, 9)
        moves, gate = live_tract(ticks, sound, ms)
        assert moves.shape == (50, 6) and gate.shape == (50,)
