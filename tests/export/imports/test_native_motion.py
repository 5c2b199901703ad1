"""Our own lips in the coefficients of a face that is not ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis import persons
from visavis.engines.audio import LogMel
from visavis.engines.motion import MOVES, Tract
from visavis.engines.npy import parse_array
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.face_points import FacePoints
from visavis.export.imports.hearing import TICK, Heard, built_in, hear_moves
from visavis.export.imports.lip_map import LipMap, face_lips, heard_lips
from visavis.export.imports.native_motion import native_motion
from visavis.export.imports.voice import read_voice
from visavis.models.points68 import TRACKED

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SIZE = 16  # coefficients: twelve that mix what a mouth does, four that move nothing below the eyes
MOUTH, BROW = 12, 13  # of them, and the first of the four that are nothing
APERTURE, JAW, PROTRUSION = 0, 1, 3


class Face:
    """A face of 68 points with coefficients of its own, in axes and a unit of its own."""

    def __init__(self, scale: float = 1.0, angle: float = 0.0, shift: float = 0.0) -> None:
        parts = built_in().stage_parts("geometry")
        mean = np.asarray(parts["mean"], np.float64)[TRACKED]
        whole = np.asarray(parts["basis"], np.float64)[:, TRACKED]
        rng = np.random.default_rng(3)
        mixed = np.einsum("kc,cpd->kpd", rng.normal(0.0, 0.4, (MOUTH, MOUTH)), whole[:MOUTH])
        brows = np.zeros((SIZE - MOUTH, 68, 3))
        brows[:, 17:27] = rng.normal(0.0, 0.02, (SIZE - MOUTH, 10, 3))
        turn = np.array(
            [
                [np.cos(angle), -np.sin(angle), 0.0],
                [np.sin(angle), np.cos(angle), 0.0],
                [0.0, 0.0, 1.0],
            ]
        )
        lips = built_in().stage_parts("motion")
        shut = np.asarray(lips["rest"], np.float64) @ whole.reshape(len(whole), -1)
        self.still = scale * (mean + shut.reshape(68, 3)) @ turn.T + shift
        self.basis = scale * np.concatenate((mixed, brows)) @ turn.T

    def __call__(self, coefficients: F32) -> F64:
        return self.still + np.einsum("kc,cpd->kpd", coefficients.astype(np.float64), self.basis)

    def gap(self, lips: LipMap, shape: F32) -> float:
        """How far the lips are apart, in eye distances, against the rest."""
        points = FacePoints(self, lips.rest.astype(np.float64))
        return float(points.measured(shape[None].astype(np.float64))[0][0])


@cache
def voice() -> F32:
    return read_voice(Path(str(persons.builtin())).with_name("presenter.mp4"))


@cache
def heard() -> Heard:
    return hear_moves(voice())


def moved(face: Face, prior: LipMap, frames: int, brow: float) -> F32:
    """A person's tracked coefficients: as geometry has it, and with a habit of the brow."""
    rng = np.random.default_rng(frames)
    moves = np.zeros((frames, MOVES))
    moves[:, APERTURE] = rng.uniform(0.0, 0.2, frames)
    moves[: max(2, frames // 20), APERTURE] = 0.0
    rows = prior.rest + moves @ prior.map.T
    rows[:, BROW] += brow * moves[:, APERTURE]
    return rows.astype(np.float32)


class TestGeometryAlone:
    def test_a_gap_that_is_asked_for_is_the_gap_that_is_shown(self) -> None:
        face = Face()
        lips = face_lips(face, SIZE)
        for wide in (0.05, 0.1, 0.3):
            shape = lips.rest + lips.map[:, APERTURE] * wide
            assert face.gap(lips, shape) == pytest.approx(wide, rel=0.02)

    def test_lips_that_are_open_at_rest_are_shut_when_closed(self) -> None:
        face = Face()
        lips = face_lips(face, SIZE)
        opened = (lips.rest + 0.15 * lips.map[:, APERTURE]).astype(np.float32)
        parted = face_lips(face, SIZE, rest=opened)
        gap = FacePoints(face, np.zeros(SIZE)).opening
        assert gap(parted.rest[None].astype(np.float64))[0] > 0.1
        assert abs(gap(parted.closed[None].astype(np.float64))[0]) < 0.002

    def test_other_moves_do_what_they_are_called(self) -> None:
        face = Face()
        lips = face_lips(face, SIZE)
        points = FacePoints(face, lips.rest.astype(np.float64))
        jaw = points.measured((lips.rest + 0.1 * lips.map[:, JAW])[None].astype(np.float64))[1]
        wide = points.measured((lips.rest + 0.05 * lips.map[:, 2])[None].astype(np.float64))[2]
        assert jaw[0] > 0.02
        assert wide[0] > 0.01

    def test_what_moves_no_lips_is_not_moved(self) -> None:
        lips = face_lips(Face(), SIZE)
        assert np.abs(lips.map[BROW:]).max() < 1e-6 < np.abs(lips.map[:MOUTH]).max()

    @settings(max_examples=10, deadline=None)
    @given(scale=st.floats(0.01, 200.0), angle=st.floats(-3.1, 3.1), shift=st.floats(-100.0, 100.0))
    def test_axes_and_units_do_not_matter(self, scale: float, angle: float, shift: float) -> None:
        plain = face_lips(Face(), SIZE)
        other = face_lips(Face(scale, angle, shift * scale), SIZE)
        # The points are float64, the coefficients are not.
        assert np.abs(other.map - plain.map).max() < 1e-2 * np.abs(plain.map).max()
        assert np.abs(other.closed - plain.closed).max() < 1e-2

    def test_landmarks_may_be_the_coefficients_themselves(self) -> None:
        at = Face().still[:, :2] * 90.0 + 128.0

        def points(coefficients: F32) -> F64:
            flat = coefficients.reshape(-1, 68, 2).astype(np.float64)
            return np.concatenate((flat, np.zeros((len(flat), 68, 1))), axis=2)

        rest = at.reshape(-1).astype(np.float32)
        lips = face_lips(points, 136, rest=rest, scale=np.full(136, 4.0, np.float32))
        asked = (lips.rest + 0.1 * lips.map[:, APERTURE]).reshape(68, 2) - at
        gap = np.mean([asked[b, 1] - asked[a, 1] for a, b in ((61, 67), (62, 66), (63, 65))])
        unit = np.linalg.norm(at[45] - at[36])
        assert gap == pytest.approx(0.1 * unit, rel=0.02)
        assert np.abs(asked[36:48]).max() < 1e-3  # eyes stay

    def test_a_face_that_cannot_open_is_refused(self) -> None:
        face = Face()
        face.basis[:] = 0.0
        with pytest.raises(ImportRefused, match="parts the lips"):
            face_lips(face, SIZE)

    def test_points_that_are_no_face_are_refused(self) -> None:
        with pytest.raises(ImportRefused, match="eyes"):
            face_lips(lambda rows: np.zeros((len(rows), 68, 3)), SIZE)
        with pytest.raises(ImportRefused, match="68"):
            face_lips(lambda rows: np.zeros((len(rows), 67, 3)), SIZE)


class TestOwnCoefficients:
    def test_no_data_is_the_prior(self) -> None:
        face = Face()
        prior = face_lips(face, SIZE)
        for none in (None, np.zeros((0, SIZE), np.float32)):
            lips = face_lips(face, SIZE, rest=prior.rest, coefficients=none)
            for name, part in lips.parts().items():
                assert (part == prior.parts()[name]).all()

    def test_the_more_data_the_more_they_are_believed(self) -> None:
        face = Face()
        prior = face_lips(face, SIZE)
        wide = (prior.rest + 0.1 * prior.map[:, APERTURE])[None].astype(np.float64)
        points = FacePoints(face, prior.rest.astype(np.float64))
        _, jaw, _ = points.measured(wide)
        habits = []
        for frames in (4, 40, 400, 4000):
            rows = moved(face, prior, frames, 40.0)
            lips = face_lips(face, SIZE, rest=prior.rest, coefficients=rows)
            # The jaw goes along with the opening, so it says a part of it.
            habits.append(lips.map[BROW, APERTURE] + lips.map[BROW, JAW] * jaw[0] / 0.1)
        assert 0.0 < habits[0] < habits[1] < habits[2] < habits[3]
        assert habits[0] < 12.0  # four frames are not believed
        assert habits[3] == pytest.approx(40.0, rel=0.05)  # four thousand are

    def test_a_map_that_hides_in_noise_is_found(self) -> None:
        face = Face()
        prior = face_lips(face, SIZE)
        rng = np.random.default_rng(1)
        rows = moved(face, prior, 3000, -25.0)
        rows[:, BROW:] += rng.normal(0.0, 1.0, (3000, SIZE - BROW)).astype(np.float32)
        lips = face_lips(face, SIZE, rest=prior.rest, coefficients=rows)
        assert lips.map[BROW, APERTURE] == pytest.approx(-25.0, abs=3.0)
        assert np.abs(lips.map[BROW + 1 :]).max() < 3.0
        assert lips.about["explained"] > 0.9  # of what is seen: brows do not count

    def test_rest_is_the_mouth_that_is_most_closed(self) -> None:
        face = Face()
        prior = face_lips(face, SIZE)
        rows = moved(face, prior, 600, 0.0)
        lips = face_lips(face, SIZE, coefficients=rows)
        points = FacePoints(face, prior.rest.astype(np.float64))
        gap = points.opening(lips.rest[None].astype(np.float64))[0]
        assert gap < np.quantile(points.opening(rows.astype(np.float64)), 0.1)

    def test_what_cannot_be_measured_is_heard(self) -> None:
        face = Face()
        prior = face_lips(face, SIZE)
        asked = heard().gate[:, None] * heard().moves
        rows = (prior.rest + asked[:, :3] @ prior.map[:, :3].T).astype(np.float32)
        rows[:, BROW] += (7.0 * asked[:, PROTRUSION]).astype(np.float32)
        lips = face_lips(face, SIZE, rest=prior.rest, coefficients=rows, voice=voice())
        assert lips.map[BROW, PROTRUSION] == pytest.approx(7.0, rel=0.35)
        # Without the voice it cannot be known, and with another one it is not believed.
        deaf = face_lips(face, SIZE, rest=prior.rest, coefficients=rows)
        assert abs(deaf.map[BROW, PROTRUSION]) < 0.1
        wrong = face_lips(
            face, SIZE, rest=prior.rest, coefficients=rows[::-1].copy(), voice=voice()
        )
        assert abs(wrong.map[BROW, PROTRUSION]) < 3.5

    def test_contacts_are_those_of_the_frames_where_they_are_heard(self) -> None:
        face = Face()
        prior = face_lips(face, SIZE)
        asked = heard().gate[:, None] * heard().moves
        rows = (prior.rest + asked[:, :1] @ prior.map[:, :1].T).astype(np.float32)
        shut = heard().contacts[:, 0] > 0.6
        rows[shut] = prior.rest
        rows[shut, BROW] = 5.0  # how this person presses the lips together
        lips = face_lips(face, SIZE, rest=prior.rest, coefficients=rows, voice=voice())
        assert lips.about["closures"] > 10
        assert lips.closed[BROW] == pytest.approx(5.0, rel=0.3)
        assert abs(lips.map[BROW, APERTURE]) < 3.0

    @pytest.mark.parametrize(
        ("rows", "sentence"),
        [
            (np.zeros((5, SIZE - 1), np.float32), r"\[T, 16\]"),
            (np.full((5, SIZE), np.nan, np.float32), "finite"),
        ],
    )
    def test_bad_coefficients_are_refused(self, rows: F32, sentence: str) -> None:
        with pytest.raises(ImportRefused, match=sentence):
            face_lips(Face(), SIZE, coefficients=rows)


class TestByEar:
    def features(self, seed: int, noise: float) -> tuple[F32, F64]:
        rng = np.random.default_rng(seed)
        truth = rng.normal(0.0, 1.0, (24, MOVES))
        clean = heard().gate[:, None] * heard().moves @ truth.T
        rows = 0.3 + clean + rng.normal(0.0, noise, clean.shape)
        return rows.astype(np.float32), truth

    def test_the_map_that_made_the_features_is_found(self) -> None:
        rows, truth = self.features(0, 0.01)
        lips = heard_lips(rows, voice())
        assert np.abs(lips.rest - 0.3).max() < 0.05
        asked = heard().moves[heard().gate > 0.5]
        wanted, found = asked @ truth.T, asked @ lips.map.T
        assert np.square(found - wanted).mean() < 0.02 * np.square(wanted).mean()
        # Toys: nothing, everything alike, another person's.
        for toy in (0.0 * truth, np.ones_like(truth), self.features(9, 0.01)[1]):
            assert np.square(asked @ toy.T - wanted).mean() > 0.5 * np.square(wanted).mean()

    def test_a_mouth_moves_as_far_as_the_systems_own(self) -> None:
        rows, truth = self.features(1, 0.0)
        rng = np.random.default_rng(2)
        # Half of what the system does follows the sound in a way that no map explains.
        rough = rows + rng.normal(0.0, rows.std(), rows.shape).astype(np.float32)
        lips = heard_lips(rough, voice())
        asked = heard().moves[heard().gate > 0.5]
        spread = (asked @ lips.map.T).std() / (asked @ truth.T).std()
        assert 0.9 < spread < 2.6
        assert lips.about["gain"] > 1.0

    def test_features_that_stand_still_are_refused(self) -> None:
        rows = np.full((len(heard().moves), 8), 0.5, np.float32)
        with pytest.raises(ImportRefused, match="do not follow"):
            heard_lips(rows, voice())

    def test_silence_is_refused(self) -> None:
        with pytest.raises(ImportRefused, match="0.0 s of speech"):
            heard_lips(np.zeros((250, 8), np.float32), np.zeros(250 * TICK, np.float32))


class TestHearing:
    def test_it_is_what_a_session_is_asked_for(self) -> None:
        person = built_in()
        spec = person.stages["motion"]
        graph = OnnxCpuBackend().load("motion", person.parts["motion.fp32.onnx"])
        plain = {
            "rest": np.zeros(MOVES, np.float32),
            "map": np.eye(MOVES, dtype=np.float32),
            "closed": np.zeros(MOVES, np.float32),
            "liptooth": np.zeros(MOVES, np.float32),
        }
        stage = Tract({**spec.params, "contact": [2.0, 3.0], "parted": 0.0}, plain, graph)
        rows = LogMel().step(LogMel().initial_state(), voice()[: 100 * TICK]).reshape(100, 4, -1)
        state, detector = stage.initial_state(120), stage.voice_activity.initial_state()
        for tick in range(100):
            chunk = voice()[tick * TICK : (tick + 1) * TICK]
            opinions = stage.voice_activity.step(detector, chunk)
            asked, gate = stage.step([state], rows[tick][None], [opinions])
            if tick >= 2:
                wanted = heard().moves[tick - 2] * heard().gate[tick - 2]
                assert np.abs(asked[0] - wanted).max() < 1e-5
                assert gate[0] == pytest.approx(heard().gate[tick - 2])

    def test_too_little_is_refused(self) -> None:
        with pytest.raises(ImportRefused, match="shorter"):
            hear_moves(np.zeros(TICK - 1, np.float32))


class TestStages:
    def test_they_run_and_obey_the_map(self) -> None:
        face = Face()
        lips = face_lips(face, SIZE)
        own = native_motion(lips)
        assert {name: stage["op"] for name, stage in own.stages.items()} == {
            "audio": "logmel@1",
            "motion": "tract@2",
        }
        spec = own.stages["motion"]
        parts = {role: parse_array(name, own.parts[name]) for role, name in spec["parts"].items()}
        graph = OnnxCpuBackend().load("motion", own.parts[own.graphs["motion"]["variants"]["fp32"]])
        params = dict(spec["params"])
        stage = Tract(params, parts, graph)
        assert stage.size == SIZE
        assert own.lookahead_ms in stage.lookaheads
        mel = LogMel()
        sound = np.concatenate((voice()[: 150 * TICK], np.zeros(60 * TICK, np.float32)))
        rows = mel.step(mel.initial_state(), sound).reshape(210, 4, -1)
        state = stage.initial_state(own.lookahead_ms)
        detector = stage.voice_activity.initial_state()
        shown, gates = [], []
        for tick in range(210):
            chunk = sound[tick * TICK : (tick + 1) * TICK]
            opinions = stage.voice_activity.step(detector, chunk)
            coefficients, gate = stage.step([state], rows[tick][None], [opinions])
            shown.append(coefficients[0])
            gates.append(float(gate[0]))
        opening = FacePoints(face, lips.rest.astype(np.float64)).opening(np.stack(shown))
        assert (shown[-1] == lips.rest).all()  # to the last bit
        assert max(gates) == 1.0
        assert opening.max() > 0.08
        assert opening.std() > 0.02
        # A map of nothing, the toy, shows a still mouth.
        toy = {**parts, "map": np.zeros_like(parts["map"]), "closed": parts["rest"]}
        toy["liptooth"] = parts["rest"]
        still = Tract(params, toy, graph)
        out, _ = still.step([still.initial_state(120)], rows[100][None], [np.ones(2, np.bool_)])
        assert (out[0] == lips.rest).all()

    def test_references_of_the_network_are_there(self) -> None:
        own = native_motion(face_lips(Face(), SIZE))
        entry = own.graphs["motion"]
        named = {*entry["variants"].values()}
        for arrays in entry["reference"].values():
            named |= set(arrays.values())
        assert named <= own.parts.keys()
        assert len(own.parts) == len(named) + 4
