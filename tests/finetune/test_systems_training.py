"""Published systems trained in small: what is written is what import reads."""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.finetune import presenter_clip
from visavis.engines.person import read_person
from visavis.export.face_model_file import read_face_model
from visavis.export.imports.audiodvp_track import read_track as read_folder
from visavis.export.imports.coefficients import read_track
from visavis.export.imports.request import Request
from visavis.export.imports.systems import SYSTEMS
from visavis.export.imports.voice import read_voice
from visavis.export.imports.write import write_import
from visavis.finetune.geometry import LIP_LOWER, LIP_UPPER, TRACKED, Geometry
from visavis.finetune.mesh import loops
from visavis.finetune.person import save_geometry
from visavis.finetune.systems import audiodvp, headpose
from visavis.finetune.systems.cameras import fit_poses
from visavis.finetune.systems.clip import Square, TrackedClip, read_run, squares
from visavis.finetune.systems.loop import lips_of, sheet, speak
from visavis.finetune.systems.stand_in import (
    EXPRESSIONS,
    IOD,
    StandIn,
    mirrored,
    stand_in,
    write_mat,
)
from visavis.finetune.systems.training import Task, held_out, near, pictures_apart, train
from visavis.finetune.systems.written import original_names, write_sound
from visavis.models.points68 import MIRRORED
from visavis.models.systems.audiodvp.renderer import NeuralRenderer, layout
from visavis.models.systems.headpose.generator import LAYOUT, Generator
from visavis.models.systems.state import build

U8 = NDArray[np.uint8]

NARROW = [1, 2, 2, 2, 2, 2, 2, 2]
FRAMES = 30


@functools.cache
def face() -> StandIn:
    return stand_in(presenter_clip.geometry(), _frames(len(presenter_clip.geometry().pose)))


def _frames(count: int) -> U8:
    """Pictures 512 pixels wide whose colour is where they are."""
    down, across = np.mgrid[:512, :512]
    one = np.stack([across // 2, down // 2, np.full_like(down, 90)], axis=-1).astype(np.uint8)
    return np.broadcast_to(one, (count, *one.shape))


def _gap(shape: Tensor) -> float:
    return float((shape[LIP_LOWER] - shape[LIP_UPPER])[1]) / IOD


class TestStandIn:
    def test_it_is_the_persons_own_mesh_in_every_frame(self) -> None:
        fitted, found = presenter_clip.geometry(), face()
        for frame in (0, 11, 60):
            shape = found.model.shape(torch.zeros(80), torch.from_numpy(found.expressions[frame]))
            wanted = fitted.mean[:TRACKED] + np.tensordot(
                fitted.coefficients[frame], fitted.basis[:, :TRACKED], 1
            )
            head = shape[:TRACKED].numpy() / IOD + found.middle
            assert np.abs(head - wanted).max() < 1e-4

    def test_no_expression_is_a_closed_mouth_and_the_first_opens_it(self) -> None:
        found = face()
        none, opened = torch.zeros(EXPRESSIONS), torch.zeros(EXPRESSIONS)
        opened[0] = audiodvp.OPEN_MOUTH
        still = found.model.shape(torch.zeros(80), none)
        assert _gap(still) < 0.02
        assert _gap(found.model.shape(torch.zeros(80), opened)) > _gap(still) + 0.1
        assert found.expressions[:, 0].min() > audiodvp.OPEN_MOUTH

    def test_eyes_are_closed_and_the_mouth_is_not(self) -> None:
        edges = loops(face().model.triangles.numpy().astype(np.int32))
        assert len(edges) == 2
        assert any(LIP_UPPER in edge for edge in edges)

    def test_colours_are_those_of_the_picture(self) -> None:
        fitted, found = presenter_clip.geometry(), face()
        x, y = np.median(fitted.pose[:, :2] @ np.append(fitted.mean[4], 1.0), axis=0)  # the nose
        assert found.model.colour[4].numpy() == pytest.approx([x / 2, y / 2, 90], abs=4)

    def test_a_mirror_twice_is_none(self) -> None:
        model = face().model
        there = mirrored(model)
        assert there.mean[:, 0].numpy() == pytest.approx(-model.mean[:, 0].numpy())
        right, left = there.mean[there.landmarks[[36, 45]], 0]
        assert right < left  # still the eye that is left in the picture
        back = mirrored(there)
        assert (back.landmarks == model.landmarks).all()
        assert (back.triangles == model.triangles).all()
        assert sorted(MIRRORED) == list(range(68))

    def test_the_file_is_read_as_a_face_model(self, tmp_path: Path) -> None:
        model = face().model
        write_mat(model, tmp_path / "face_model.mat", 0.5)
        found = read_face_model(tmp_path / "face_model.mat").model
        assert found.mean.numpy() == pytest.approx(0.5 * model.mean.numpy(), abs=1e-6)
        assert found.expression.numpy() == pytest.approx(0.5 * model.expression.numpy(), abs=1e-6)
        assert (found.landmarks == model.landmarks).all()
        assert (found.triangles == model.triangles).all()


class TestCameras:
    def test_poses_that_made_points_are_found(self) -> None:
        rng = np.random.default_rng(0)
        shape = torch.from_numpy(rng.normal(0.0, 0.5, (40, 3)))
        truth = np.concatenate(
            (rng.uniform(-0.3, 0.3, (5, 3)), rng.uniform(-0.2, 0.2, (5, 3))), axis=1
        )

        def project(poses: Tensor) -> Tensor:
            turned = shape @ torch.linalg.matrix_exp(_skew(poses[:, :3])).mT + poses[:, None, 3:]
            return 500.0 * turned[..., :2] / (10.0 - turned[..., 2:])

        wanted = project(torch.from_numpy(truth)).numpy()
        found, off = fit_poses(project, wanted, np.zeros(6))
        assert off.max() < 1e-3
        assert found == pytest.approx(truth, abs=1e-4)

    @pytest.mark.parametrize("system", [audiodvp, headpose])
    def test_a_tracked_head_falls_where_it_was_tracked(self, system: ModuleType) -> None:
        clip = TrackedClip(
            _frames(FRAMES), np.zeros(0, np.float32), *_some(presenter_clip.geometry())
        )
        square = Square(100.0, 120.0, 300.0, 224 if system is headpose else 256)
        _, off = system.fit(clip, square)
        # A pinhole near by and a camera far away do not agree on what is deep.
        assert off < 5.0


def _skew(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return rows.unflatten(-1, (3, 3))


def _some(geometry: Geometry) -> tuple[Geometry, StandIn]:
    part = geometry.of(slice(0, FRAMES))
    return part, stand_in(part, _frames(FRAMES))


def test_squares_are_cut_where_they_are_said_to_be() -> None:
    square = Square(100.0, 60.0, 256.0, 128)
    picture = squares(_frames(1), square)[0].astype(int)
    # The middle of pixel (i, j) is at 100 + 2 (j + 0.5) of the frame.
    assert abs(picture[10, 20, 0] - (100 + 41) // 2) <= 1
    assert abs(picture[10, 20, 1] - (60 + 21) // 2) <= 1
    assert square.inside(np.array([100.0, 60.0])) == pytest.approx([0.0, 0.0])
    assert square.inside(np.array([356.0, 316.0])) == pytest.approx([128.0, 128.0])


class TestNames:
    @torch.no_grad()
    def test_a_renderer_comes_back_whole(self) -> None:
        network = NeuralRenderer(NARROW).eval()
        state = original_names(network.state_dict(), layout())
        assert "model.model.1.model.1.weight" in state
        back = build(lambda: NeuralRenderer(NARROW), state, layout())
        seen = torch.rand(1, 21, 256, 256)
        assert torch.equal(back(seen), network(seen))

    @torch.no_grad()
    def test_a_persons_numbers_come_back_for_every_feature(self) -> None:
        network = headpose.OnePerson(NARROW).eval()
        style = network.generator.style
        assert isinstance(style.numbers, Tensor)
        style.numbers.copy_(torch.randn_like(style.numbers))
        frames = torch.rand(1, 9, 256, 256) * 2.0 - 1.0
        wanted, _ = network(frames)
        state = original_names(headpose.with_network(network.generator).state_dict(), LAYOUT)
        assert {"e2.conv.weight", "e2.body.1.weight", "mlp.model.4.bias"} <= state.keys()
        back = build(lambda: Generator(NARROW), state, LAYOUT)
        for _ in range(2):
            colours, keep = back(frames, torch.randn(1, 512))
            made = keep * frames[:, -3:] + (1.0 - keep) * colours
            assert (made - wanted).abs().max() < 1e-5

    def test_coefficients_are_read_as_they_were(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        numbers = audiodvp.Coefficients(
            rng.normal(size=(8, 64)).astype(np.float32), rng.normal(size=(8, 6)).astype(np.float32)
        )
        numbers.write(tmp_path)
        track = read_folder(tmp_path, 8)
        assert (track.delta == numbers.delta).all()
        assert (track.pose[:, :3] == numbers.rotation).all()
        assert (track.pose[:, 6:] == numbers.gamma).all()


class TestTraining:
    def task(self) -> Task:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))

        def loss(draws: torch.Generator) -> Tensor:
            given = torch.randn(8, 3, generator=draws)
            return (network(given) - given.flip(1)).square().mean()

        def judge() -> float:
            return loss(torch.Generator().manual_seed(99)).item()

        return Task(network, loss, judge)

    def test_it_goes_on_where_it_was_stopped(self, tmp_path: Path) -> None:
        untrained = self.task().judge()
        first = train(self.task(), tmp_path, 0.2)
        kept = torch.load(tmp_path / "state.pt", weights_only=True)
        assert kept["steps"] == first["steps"]
        again = self.task()
        second = train(again, tmp_path, 0.2)  # no time is left: nothing is done
        assert second["steps"] == first["steps"]
        assert second["held_out"] == first["held_out"]
        third = train(self.task(), tmp_path, 0.5)
        assert third["steps"] > first["steps"]
        assert third["held_out"] < untrained

    def test_what_is_judged_by_is_not_learnt_from(self) -> None:
        held, taught = held_out(582)
        assert 50 < len(held) < 90
        assert not set(held.tolist()) & set(taught.tolist())
        assert len(held) + len(taught) == 582

    def test_pictures_are_apart_where_they_count(self) -> None:
        wanted, weight = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
        weight[..., :4] = 1.0
        made = wanted.clone()
        made[..., 6] = 1.0
        assert pictures_apart(made, wanted, weight) == 0.0
        made[..., 1] = 1.0
        flat = torch.ones_like(wanted)
        # A stripe is further off than its levels are: it has edges.
        stripe = float(pictures_apart(made, wanted, weight))
        assert stripe > 8 / 64 > 0.0
        assert float(pictures_apart(flat, wanted, weight)) == pytest.approx(0.5)

    def test_near_is_one_at_the_mouth(self) -> None:
        share = near(np.array([[10.0, 20.0]], np.float32), 32, (0.1, 0.2))
        assert share.shape == (1, 1, 32, 32)
        assert share[0, 0, 20, 10] == 1.0
        assert share[0, 0, 20, 16] < share[0, 0, 26, 10] < 1.0

    def test_half_of_the_examples_have_no_future(self) -> None:
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 255, (30, 256, 256, 3), np.uint8)
        masks = np.full((30, 256, 256), 255, np.uint8)
        job = audiodvp.task(pictures, masks, pictures, np.full((30, 2), 128.0, np.float32), NARROW)
        seen: list[Tensor] = []
        job.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        draws = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for _ in range(8):
                assert torch.isfinite(job.loss(draws))
        frames = torch.cat(seen).unflatten(1, (7, 3))
        held = (frames[:, 3] == frames[:, 6]).flatten(1).all(dim=1)
        assert 0.2 < held.float().mean() < 0.8
        assert (frames[held][:, 4] == frames[held][:, 3]).all()


@functools.cache
def _voice() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.normal(0.0, 0.05, FRAMES * 640).astype(np.float32)


def _run(folder: Path) -> Path:
    """The folder of a finetune of a second."""
    (folder / "appearance").mkdir(parents=True)
    (folder / "clip").mkdir()
    save_geometry(
        presenter_clip.geometry().of(slice(0, FRAMES)), folder / "appearance" / "geometry.npz"
    )
    np.save(folder / "clip" / "sound.npy", _voice())
    grey = np.full((FRAMES, 768, 512), 128, np.uint8)
    grey[:, :512] = np.linspace(60, 200, 512).astype(np.uint8)
    grey.tofile(folder / "clip" / "frames.i420")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("system", ["audiodvp", "headpose"])
def test_what_is_trained_is_imported_and_obeys(system: str, tmp_path: Path) -> None:
    run, out = _run(tmp_path / "run"), tmp_path / "out"
    module = audiodvp if system == "audiodvp" else headpose
    module.main([str(run), "--out", str(out), "--minutes", "1e-4", "--channels", "1"])
    files = {"audiodvp": ["50_net_G.pth"], "headpose": ["60_net_G.pth", "60_net_mem.pth"]}
    request = Request(
        system=system,
        checkpoints=tuple(out / name for name in files[system]),
        clip=out / "crop.mp4",
        coefficients=out / "coefficients",
        face_model=out / "face_model.mat",
        speech=out / "voice.wav" if system == "audiodvp" else None,
        name="small",
        consent={"subject": "nobody", "given": "not applicable"},
        face_only=True,
    )
    draft = SYSTEMS[system](request, lambda sentence: None)
    assert draft.contains_licensed is None  # nobody's but the person's
    spoken = speak(read_person(write_import(draft, request)), _voice()[: 8 * 640])
    assert len(spoken.pictures) == 8
    gap = lips_of(read_face_model(out / "face_model.mat").model)
    rows = np.zeros((2, spoken.coefficients.shape[1]), np.float32)
    rows[1, 0] = audiodvp.OPEN_MOUTH
    closed, opened = gap(rows)
    assert closed < 0.02 < 0.1 < opened
    made = sheet(spoken.pictures, np.linspace(0.0, 0.3, 8), np.zeros(8))
    assert made.shape[2] == 3 and made[-16:].max() == 255


def test_a_track_is_that_of_its_crops(tmp_path: Path) -> None:
    clip = read_run(_run(tmp_path / "run"))
    square = Square(126.0, 153.0, 262.0, 224)
    rows, _ = headpose.fit(clip, square)
    np.save(tmp_path / "rows.npy", rows)
    assert (read_track(tmp_path / "rows.npy").coefficients == rows).all()
    black = np.zeros((1, 224, 224, 3), np.uint8)
    changed = headpose.drawn(clip.face.model, rows[:1], black)[0].max(axis=2) > 8
    assert 0.2 < changed.mean() < 0.8  # a face, and what is around it
    assert not changed[:, :8].any()


def test_a_sound_is_written_as_it_is(tmp_path: Path) -> None:
    write_sound(_voice(), tmp_path / "voice.wav")
    found = read_voice(tmp_path / "voice.wav")[: len(_voice())]
    assert np.corrcoef(found, _voice()[: len(found)])[0, 1] > 0.98
