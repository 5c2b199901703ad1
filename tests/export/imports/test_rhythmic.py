"""Importing `rhythmic`: what the engine shows is what the network makes of the same landmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.export.imports import rhythmic_sample as sample
from tests.export.imports.live_session import assert_talks_live
from tests.export.imports.rhythmic_sample import SIZE
from visavis.engines.controls import Controls, controls_of
from visavis.engines.i420 import planes_of
from visavis.engines.npy import parse_array
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.probe import probe_voice
from visavis.engines.sketch import POSE, posed
from visavis.export.imports import rhythmic, rhythmic_head
from visavis.export.imports.draft import Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.onnx_graph import ToI420
from visavis.export.imports.request import Request
from visavis.export.imports.rhythmic_footage import (
    Footage,
    read_footage,
    read_references,
    sketch_of,
)
from visavis.export.imports.rhythmic_networks import HeadNetworks
from visavis.export.imports.rhythmic_track import rotation_to, vector_of
from visavis.export.imports.write import pack
from visavis.models.systems.rhythmic.generator import Generator, Source
from visavis.models.systems.rhythmic.head_motion import (
    MOTION_DEVIATION,
    MOTION_MEAN,
    MotionDecoder,
    MotionHistory,
)
from visavis.models.systems.rhythmic.person import PersonGenerator, PersonReferences

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
CONSENT = {"by": "nobody", "on": "2026-01-01"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of three kinds, a clip, and two pictures with landmarks."""
    place = tmp_path_factory.mktemp("rhythmic")
    for shots in (1, 3, None):
        torch.save(sample.state_of(sample.generator(shots), shots), place / f"{shots}_net_G.pth")
    sample.write_clip(place)
    for seed, name in enumerate(("one", "two")):
        sample.write_picture(place / f"{name}.png", seed=seed)
        np.save(place / f"{name}.npy", sample.face() + seed)
    return place


def request(folder: Path, shots: int | None = 1, **changes: Any) -> Request:
    plain = Request(
        "rhythmic",
        (folder / f"{shots}_net_G.pth",),
        clip=folder / "she_aligned.mp4",
        coefficients=folder,
        consent=CONSENT,
    )
    return replace(plain, **changes)


def import_of(asked: Request) -> tuple[Draft, Person]:
    made = rhythmic.draft(asked, lambda _: None, size=SIZE)
    return made, pack(made, asked).person()


@pytest.fixture(scope="module")
def one_shot(folder: Path) -> tuple[Draft, Person]:
    return import_of(request(folder))


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what stands beside the network: making the graph takes most of the time."""
    monkeypatch.setattr(rhythmic, "exported", lambda name, *_, **__: ({}, {f"{name}.onnx": b""}))


def shown(person: Person, ticks: int, head: str | None = None) -> list[Work]:
    """What the engine makes of a voice."""
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(0)
    if head is not None:
        pipeline.control(state, Controls(head=head))
    work = []
    for samples in probe_voice(state.lookahead_ms, ticks):
        work.append(Work(state, samples))
        pipeline.advance([work[-1]])
        error = work[-1].error
        assert error is None, error
    return work


@torch.no_grad()
def offline(network: Generator, references: PersonReferences, item: Work) -> U8:
    """The crop's luma, from the network as it was published: nothing is kept between frames."""
    assert item.coefficients is not None
    front = item.coefficients.reshape(68, 3).astype(np.float64)
    front[rhythmic.OWN] = item.choice.pose[POSE:].reshape(-1, 3)
    sketch = torch.from_numpy(sketch_of(posed(front, item.choice.pose), SIZE))[None]
    known = network.references(references.images, references.sketches)
    turned = np.abs(item.choice.pose[:3] - references.rotations.numpy()).mean(1)
    nearest = slice(int(turned.argmin()), int(turned.argmin()) + 1)
    source = Source(references.sketches[nearest], references.hidden[nearest])
    appearance = network.appearance(known, network.attended(known, sketch))
    picture = network(appearance, sketch, network.warped_reference(sketch, source))
    luma: U8 = ToI420()(picture * 0.5 + 0.5)[0][0].numpy()
    return luma


def references_of(asked: Request, shots: int | None) -> tuple[Footage, PersonReferences]:
    footage = read_footage(asked, SIZE)
    return footage, read_references(asked, shots, footage, SIZE, lambda _: None)


def check_frames(folder: Path, person: Person, shots: int | None) -> None:
    """Every frame of the engine against the network offline; another frame's would not do."""
    work = shown(person, 24)
    network = sample.generator(shots)
    _, references = references_of(request(folder, shots), shots)
    wanted = [offline(network, references, item) for item in work]
    for item, luma in zip(work, wanted, strict=True):
        assert item.i420 is not None
        apart = np.abs(planes_of(item.i420)[0].astype(int) - luma)
        assert (apart <= 2).mean() >= 0.999
    for k in (6, 12, 18):
        assert np.mean(np.abs(wanted[k].astype(int) - wanted[k + 1]) > 2) > 0.01


def test_the_engine_shows_what_the_network_makes(
    folder: Path, one_shot: tuple[Draft, Person]
) -> None:
    _, person = one_shot
    check_frames(folder, person, 1)


@pytest.mark.long
@pytest.mark.parametrize("shots", [3, None])
def test_so_it_does_with_several_references(folder: Path, shots: int | None) -> None:
    made, person = import_of(request(folder, shots))
    assert made.graphs["face"]["inputs"]["pose"] == ["N", 6 + 3 * len(rhythmic.OWN)]
    check_frames(folder, person, shots)


def test_the_mouth_moves_with_the_voice_and_the_head_as_filmed(
    one_shot: tuple[Draft, Person],
) -> None:
    made, person = one_shot
    work = shown(person, 60)
    lips = np.stack([item.coefficients.reshape(68, 3) for item in work])  # type: ignore[union-attr]
    gap = (lips[:, 65:68, 1] - lips[:, 61:64, 1]).mean(1)
    assert np.ptp(gap) > 0.02 * SIZE
    _, pose, front = sample.track()
    for tick in (0, 5, 11, 12, 20):
        index = min(tick % 24, 23 - tick % 24)
        assert np.allclose(
            work[tick].choice.pose[POSE:].reshape(-1, 3), front[index][rhythmic.OWN], atol=1e-4
        )
    middle = work[5].choice.pose[:POSE]
    assert np.allclose(middle, pose[3:8].mean(0), atol=1e-5)
    assert made.controls == {"heads": ["own", "still"]} and controls_of(person).heads
    still = [item.choice.pose for item in shown(person, 8, head="still")]
    assert all(np.array_equal(one, still[0]) for one in still)
    x0, y0, x1, y1 = made.mouth
    inside = posed(front[0], pose[0])[48:68, :2]
    assert (inside >= [x0, y0]).all() and (inside <= [x1, y1]).all()
    assert (x1 - x0) * (y1 - y0) < 0.3 * SIZE**2


@pytest.mark.parametrize("shots", [1, 3, None])
def test_what_is_kept_of_a_person_changes_nothing(folder: Path, shots: int | None) -> None:
    asked = request(folder, shots)
    network = sample.generator(shots)
    footage, references = references_of(asked, shots)
    assert len(references.images) == (shots or 8)
    person = PersonGenerator(network, references).eval()
    frames = [1, 4, 9]
    sketches = torch.from_numpy(np.stack([sketch_of(footage.points[k], SIZE) for k in frames]))
    poses = torch.from_numpy(footage.pose[frames]).float()
    with torch.no_grad():
        made = person(sketches, poses)
        for n in range(len(frames)):
            sketch = sketches[n : n + 1]
            known = network.references(references.images, references.sketches)
            turned = (poses[n, :3] - references.rotations).abs().mean(1)
            nearest = int(turned.argmin())
            source = Source(
                references.sketches[nearest : nearest + 1], references.hidden[nearest : nearest + 1]
            )
            appearance = network.appearance(known, network.attended(known, sketch))
            alone = network(appearance, sketch, network.warped_reference(sketch, source))
            if shots == 1:
                assert torch.equal(person(sketch, None), alone)  # to the last bit
            assert torch.linalg.norm(made[n] - alone[0]) < 1e-4 * torch.linalg.norm(alone)
        assert torch.linalg.norm(made[0] - made[1]) > 0.01 * torch.linalg.norm(made[0])
    if person.poses:
        with pytest.raises(ValueError, match="chosen from by the pose"):
            person(sketches)


def test_eyes_and_mouth_of_a_reference_are_not_warped(folder: Path) -> None:
    footage, references = references_of(request(folder, 3), 3)
    for k, index in enumerate((0, 6, 11)):
        hidden = references.hidden[k].numpy()
        points = footage.points[index]
        for at in ((points[51] + points[57]) / 2, points[36:42].mean(0), points[42:48].mean(0)):
            assert (hidden[:, int(at[1]), int(at[0])] == -1.0).all()
        kept = hidden != references.images[k].numpy()
        assert 0.01 < kept.any(0).mean() < 0.35
        nose = points[30].astype(int)
        assert not kept[:, nose[1], nose[0]].any()


def test_the_checkpoint_may_come_from_several_gpus(folder: Path, tmp_path: Path) -> None:
    state = torch.load(folder / "3_net_G.pth", weights_only=True)
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "g.pth")
    read = rhythmic.read_networks(request(folder, checkpoints=(tmp_path / "g.pth",)))
    ours = sample.generator(3).state_dict()
    assert read.shots == 3 and read.head is None
    for name, tensor in read.generator.state_dict().items():
        assert torch.allclose(tensor, ours[name], atol=1e-6), name


@pytest.mark.usefixtures("unexported")
def test_a_picture_is_cut_and_laid_back(folder: Path, tmp_path: Path) -> None:
    path = sample.write_picture(tmp_path / "wide.png", 320, 240)
    points = sample.face()[:, :2] * 1.5 + [120.0, 60.0]
    asked = request(
        folder, clip=None, coefficients=None, image=path, points=tuple(map(tuple, points))
    )
    made = rhythmic.draft(asked, lambda _: None, size=SIZE)
    place = parse_array("place", made.parts["place.npy"])
    footage = read_footage(asked, SIZE)
    back = footage.points[0, :, :2] @ place[0, :, :2].T + place[0, :, 2]
    assert np.allclose(back, points, atol=1e-3)
    span = np.ptp(footage.points[0, :, 1])
    assert span == pytest.approx(SIZE / 2, abs=1) and made.frames[0].shape == (240, 320, 3)
    mask = parse_array("mask", made.parts["mask.npy"])
    assert mask[0].max() == 0 and mask[SIZE // 2, SIZE // 2] == 255
    assert "own.npy" not in made.parts and made.controls == {}
    assert np.array_equal(parse_array("pose", made.parts["pose.npy"]), np.zeros((1, 6)))
    # The crop shows what lies there: its middle is the picture's at that place.
    middle = place[0] @ [SIZE / 2, SIZE / 2, 1.0]
    near = made.frames[0][int(middle[1]) - 3 : int(middle[1]) + 4, int(middle[0])].astype(int)
    assert np.abs(near - footage.crops[0][SIZE // 2, SIZE // 2]).max(1).min() < 40


@pytest.mark.usefixtures("unexported")
def test_pictures_of_their_own_are_references(folder: Path) -> None:
    asked = request(folder, None, references=(folder / "one.png", folder / "two.png"))
    _, references = references_of(asked, None)
    assert references.images.shape == (2, 3, SIZE, SIZE)
    expected = sketch_of(sample.face() + 1.0, SIZE)
    assert np.array_equal(references.sketches[1].numpy(), expected)
    assert (references.rotations.abs() < 0.05).all()


@pytest.mark.usefixtures("unexported")
def test_a_head_is_followed_around_its_middle(folder: Path, tmp_path: Path) -> None:
    _, pose, _ = sample.track()
    other = pose.copy()
    other[:, 0] += 0.3  # it looks down all the time
    np.save(tmp_path / "other_rt.npy", np.repeat(other, 5, axis=0))
    made = rhythmic.draft(
        request(folder, drive=(tmp_path / "other_rt.npy",)), lambda _: None, size=SIZE
    )
    track = parse_array("track", made.parts["track.npy"])
    assert track.shape == (60, 6 + 3 * len(rhythmic.OWN))
    assert np.allclose(np.median(track[:, :3], 0), np.median(pose[:, :3], 0), atol=0.05)
    assert np.ptp(track[:, 1]) == pytest.approx(np.ptp(pose[:, 1]), rel=0.3)
    assert made.controls["heads"] == ["own", "driven", "still"]
    same = rhythmic_head.followed(pose, np.median(pose, axis=0))
    assert np.allclose(same, pose, atol=0.02)


def test_a_head_moves_by_a_voice() -> None:
    class Loud(torch.nn.Module):
        """Of each frame's window 256 numbers, by how loud it is."""

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return rows.abs().mean((2, 3))[..., None].expand(-1, -1, 256) / 3276.8

    torch.manual_seed(0)
    history, decoder = MotionHistory().eval(), MotionDecoder().eval()
    networks = HeadNetworks(Loud(), history, decoder)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    frames = 120
    voice = np.repeat(0.1 * np.abs(np.sin(np.arange(frames) / 7.0)), 640)
    voice = (voice * rng.choice([-1.0, 1.0], len(voice))).astype(np.float32)
    pose = np.array(MOTION_MEAN) + rng.normal(0, 0.1, (80, 6)) * MOTION_DEVIATION
    moved = rhythmic_head.moved_head(networks, pose, voice)
    assert moved.shape == (frames - 64, 6)
    louder = rhythmic_head.moved_head(networks, pose, np.concatenate([voice[: 80 * 640], voice]))
    assert np.allclose(louder[:5], moved[:5], atol=1e-4)
    assert np.ptp(moved[:, 1]) > 1e-3  # the toy of a still head fails
    other = rhythmic_head.moved_head(networks, pose + np.array(MOTION_DEVIATION), voice)
    assert not np.allclose(other, moved, atol=1e-3)
    for bad, words in ((pose[:63], "63 and 120 came"), (pose, "80 and 70 came")):
        short = voice if len(bad) < 64 else voice[: 70 * 640]
        with pytest.raises(ImportRefused, match=words):
            rhythmic_head.moved_head(networks, bad, short)


def test_a_voice_is_smoothed_a_frame_late() -> None:
    rows = np.zeros((40, 1))
    rows[20] = 1.0
    out = rhythmic_head.smoothed(rows, 11)[:, 0]
    assert out.argmax() == 21 and out.sum() == pytest.approx(1.0)
    assert np.allclose(rhythmic_head.smoothed(np.ones((30, 2)), 21), 1.0)


def test_a_pose_is_found_from_landmarks() -> None:
    points, pose, front = sample.track()
    for k in range(4):
        assert np.allclose(rotation_to(front[k], points[k]), pose[k], atol=1e-6)
    assert np.allclose(vector_of(np.eye(3)), 0.0)


def refused(words: str, action: Callable[[], object]) -> None:
    with pytest.raises(ImportRefused, match=words) as caught:
        action()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_what_cannot_be_used_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    def tried(shots: int | None = 1, **changes: Any) -> Callable[[], object]:
        return lambda: rhythmic.draft(request(folder, shots, **changes), lambda _: None, size=SIZE)

    one, two = folder / "one.png", folder / "two.png"
    refused("never published", tried(motion="original"))
    refused("a picture .* or of a clip", tried(clip=None))
    refused("a picture .* or of a clip", tried(image=one))
    refused("needs the landmarks of the clip", tried(coefficients=None))
    refused("for 3 reference pictures.*2 were given", tried(3, references=(one, two)))
    refused("for 1 reference picture,.*2 were given", tried(references=(one, two)))
    refused("for 3 .*the footage has 1", tried(3, clip=None, image=one))
    bare = sample.write_picture(tmp_path / "bare.png")
    refused("reference bare.png has no landmarks", tried(references=(bare,)))
    np.save(tmp_path / "bare.npy", np.zeros((67, 3)))
    refused(r"bare.npy holds \[67, 3\]", tried(references=(bare,)))
    np.save(tmp_path / "bare.npy", np.array([{"a": 1}]), allow_pickle=True)
    refused("no .npy file of numbers", tried(references=(bare,)))
    np.save(tmp_path / "bare.npy", np.full((68, 3), np.nan))
    refused("numbers that are no pixels", tried(references=(bare,)))
    wide = sample.write_picture(tmp_path / "wide.png", 96, 64)
    np.save(tmp_path / "wide.npy", sample.face())
    refused("wide.png is 96 by 64", tried(references=(wide,)))
    refused("68 landmarks; 5 points", tried(clip=None, image=bare, points=((9.0, 9.0),) * 5))
    np.save(tmp_path / "bare.npy", sample.face()[:, :2])
    flat = {"clip": None, "coefficients": None, "image": bare}
    np.save(tmp_path / "x_rt.npy", np.zeros((9, 6)))
    refused("have a depth", tried(**flat, drive=(tmp_path / "x_rt.npy",)))
    np.save(tmp_path / "y_rt.npy", np.full((9, 6), 40.0))
    refused("rotation vectors in radians", tried(drive=(tmp_path / "y_rt.npy",)))
    refused("One head can be followed", tried(drive=(tmp_path / "x_rt.npy",) * 2))


def test_tracks_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    clip = sample.write_clip(tmp_path)
    points, pose, front = sample.track()

    def tried(**arrays: F64) -> Callable[[], object]:
        files = {"": points, "_rt": pose, "_front": front} | arrays
        for suffix, array in files.items():
            np.save(tmp_path / f"she_aligned{suffix}.npy", array)
        asked = request(folder, clip=clip, coefficients=tmp_path)
        return lambda: read_footage(asked, SIZE)

    tried()()
    refused("_rt.npy holds", tried(_rt=pose[:5]))
    refused("_front.npy holds", tried(_front=front[..., :2]))
    refused("not of one clip", tried(_front=front + 30.0))
    longer = {"": points, "_rt": pose, "_front": front}
    longer = {key: np.repeat(value, 3, axis=0) for key, value in longer.items()}
    refused("has 12 frames, and there are landmarks of 36", tried(**longer))
    (tmp_path / "she_aligned_rt.npy").unlink()
    refused(
        "must hold X.npy",
        lambda: read_footage(request(folder, clip=clip, coefficients=tmp_path), SIZE),
    )


def test_checkpoints_of_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    def read(*states: dict[str, torch.Tensor]) -> Callable[[], object]:
        paths = []
        for k, state in enumerate(states):
            torch.save(state, tmp_path / f"{k}.pth")
            paths.append(tmp_path / f"{k}.pth")
        return lambda: rhythmic.read_networks(request(folder, checkpoints=tuple(paths)))

    state = torch.load(folder / "3_net_G.pth", weights_only=True)
    other = {"audio_layer.0.weight": torch.zeros(1), "exp_sty_layer.0.weight": torch.zeros(1)}
    refused("looks like .* of style_avatar", read(other))
    refused("needs the generator", read({"l.weight": torch.zeros(1), "l.bias": torch.zeros(1)}))
    head = {"l.weight": torch.zeros(1), "l.bias": torch.zeros(1)}
    refused("three networks.*only motion_decoder", read(state, head))
    key = "netG.comb_encoder.ref_img_up_0.conv.weight"
    refused(f"missing {key}", read({k: v for k, v in state.items() if k != key}))
    refused("misshapen netG.conv_img.bias", read(state | {"netG.conv_img.bias": torch.zeros(4)}))
    refused("extra netG.more", read(state | {"netG.more": torch.zeros(4)}))
    vector = next(key for key in state if key.endswith("weight_u"))
    refused("lacks", read({k: v for k, v in state.items() if k != vector}))
    joined = "netG.encoder.atten1.conv.weight"
    refused("joins 7 channels", read(state | {joined: torch.zeros(8, 7, 3, 3)}))
    refused("needs the generator", lambda: rhythmic.read_networks(request(folder, checkpoints=())))


def test_it_talks_live(one_shot: tuple[Draft, Person]) -> None:
    assert_talks_live(one_shot[1])
