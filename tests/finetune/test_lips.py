"""Training, fitting and measuring the lips, on data small enough to check by thought."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from visavis.finetune.lips.evaluate import closures, lag_ms
from visavis.finetune.lips.fit import Measured, fit_person_map
from visavis.finetune.lips.listen import hear, live_tract
from visavis.finetune.lips.train import ROWS_AHEAD, Streams, load_motion, train
from visavis.finetune.speech.gestures import gestures
from visavis.finetune.speech.phones import Phone
from visavis.models.motion import Motion

TIMES = (np.arange(500) + 0.5) / 25.0


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
        steps = 700
        knots = rng.random(steps // 10 + 2)
        aperture = np.interp(np.arange(steps) / 10, np.arange(len(knots)), knots) * 0.2
        tract = np.zeros((steps, 9), np.float16)
        tract[:, 0], tract[:, 8] = aperture, aperture > 0.05
        features = rng.normal(0, 0.1, (2 * steps, 66))
        features[:, 10] += np.repeat(aperture, 2) * 20 - 2
        features[:, 20] += np.repeat(tract[:, 8], 2)
        path = folder / f"{voice.replace(':', '_')}-{i}.npz"
        np.savez(
            path,
            voice=np.array(voice),
            features=features.astype(np.float16),
            tract=tract,
            phones=np.zeros(steps, np.uint8),
        )
        paths.append(path)
    return paths


def test_streams_keep_rows_and_labels_together(tmp_path: Path) -> None:
    streams = Streams(_write_sessions(tmp_path, 3, "flite:slt"), 2, seed=0)
    for _ in range(20):
        features, tract, _, _ = streams.take(50)
        assert features.shape == (2, 200, 66) and tract.shape == (2, 100, 9)
        # Row r of a tick was heard ROWS_AHEAD rows after what it is paired with.
        heard = (features[:, ROWS_AHEAD % 2 :: 2, 10] + 2) / 20
        n = 100 - ROWS_AHEAD // 2
        r = np.corrcoef(heard[0, :n], tract[0, ROWS_AHEAD // 2 : ROWS_AHEAD // 2 + n, 0])[0, 1]
        assert r > 0.9


STEPS = 40


def test_training_learns_and_resumes(tmp_path: Path) -> None:
    paths = _write_sessions(tmp_path, 6, "flite:slt") + _write_sessions(tmp_path, 2, "flite:kal")
    out = tmp_path / "run"
    train(paths, out, last=STEPS, streams=4, ticks=40)
    first = len((out / "metrics.jsonl").read_text().splitlines())
    train(paths, out, last=STEPS, streams=4, ticks=40)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["steps"] > lines[first - 1]["steps"]
    assert lines[-1]["r_aperture"] > 0.4
    assert isinstance(load_motion(out / "motion.pt"), Motion)


def test_hearing_gives_a_frame_for_every_40_ms() -> None:
    motion = Motion()
    sound = np.zeros(16000 * 2, np.float32)
    tract = hear(motion, sound)
    assert tract.shape == (50, 2, 9)
    assert (tract[:, :, 6:] >= 0).all() and (tract[:, :, 6:] <= 1).all()
    moves, gate = live_tract(tract)
    assert moves.shape == (50, 6) and gate.shape == (50,)


@pytest.mark.parametrize("late_ms", [-60.0, -25.0, 0.0, 33.0, 80.0])
def test_lag_has_a_sign_and_fractions(late_ms: float) -> None:
    t = np.arange(600) / 25.0

    def curve(at: np.ndarray) -> np.ndarray:
        return np.sin(2.1 * at) + np.sin(5.3 * at + 1) + np.sin(9.7 * at + 2)

    assert lag_ms(curve(t - late_ms / 1000), curve(t)) == pytest.approx(late_ms, abs=6)


def test_closures_are_counted() -> None:
    phones = [
        Phone("aa", 0.0, 1.0),
        Phone("m", 1.0, 1.1),
        Phone("aa", 1.1, 2.0),
        Phone("p", 2.0, 2.1),
    ]
    phones.append(Phone("aa", 2.1, 3.0))
    aperture = np.full(75, 0.1, np.float32)
    aperture[25:28] = 0.0  # the m
    aperture[10] = 0.0  # nothing is said there that would shut the lips
    counts = closures(aperture, phones)
    assert (counts.wanted, counts.met, counts.false) == (2, 1, 1)
    assert counts.open_frames == pytest.approx(75 - 2 * 6, abs=3)
