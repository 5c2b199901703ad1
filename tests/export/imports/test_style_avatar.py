"""A `style_avatar` person in the engine against its networks and formulas run offline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.engines.tiny_person import voice
from tests.export.imports import style_avatar_sample as small
from tests.export.imports.live_session import assert_talks_live
from tests.export.imports.tf_writer import write_checkpoint
from visavis.engines.cepstra import DEEPSPEECH, Cepstra
from visavis.engines.clip import Clip
from visavis.engines.i420 import planes_of
from visavis.engines.npy import parse_array
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.raster import rasterize
from visavis.export.face_model_file import read_face_model
from visavis.export.imports.deepspeech import read_deepspeech
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request
from visavis.export.imports.style_avatar import draft
from visavis.export.imports.style_avatar_codes import read_spread, read_styles
from visavis.export.imports.style_avatar_face import landmarks, placed
from visavis.export.imports.style_avatar_networks import read_networks
from visavis.export.imports.write import pack
from visavis.models.systems.headpose import face
from visavis.models.systems.style_avatar import drawing, generator, motion, picture, style, texture
from visavis.models.systems.style_avatar.deepspeech import CELL, context

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

TICKS = 12
SPEECH = np.asarray(voice(1.2, seed=3), np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> small.Sample:
    torch.set_num_threads(1)
    return small.sample(tmp_path_factory.mktemp("style_avatar"))


def request(files: small.Sample, **changes: Any) -> Request:
    return replace(
        Request(
            system="style_avatar",
            checkpoints=files.checkpoints,
            image=files.image,
            coefficients=files.coefficients,
            face_model=files.model,
            consent={"synthetic": True},
        ),
        **changes,
    )


def made(files: small.Sample, **changes: Any) -> Person:
    asked = request(files, **changes)
    return pack(draft(asked, lambda line: None), asked).person()


@pytest.fixture(scope="module")
def original(files: small.Sample) -> Person:
    """Its own motion, in styles, with a head that may follow another."""
    turned = np.zeros((5, 257), np.float32)
    turned[:, 225] = np.linspace(-0.3, 0.3, 5)
    np.save(files.folder / "nod.npy", turned)
    drive = (files.folder / "nod.npy",)
    return made(files, motion="original", styles=(files.styles,), drive=drive)


def without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an import export nothing, which takes seconds."""
    place = "visavis.export.imports.style_avatar_networks.exported"
    monkeypatch.setattr(place, lambda *given, **more: ({}, {}))


def run(
    person: Person, pcm: F32, *, ticks: int = TICKS, render: bool = True, **changes: Any
) -> list[Work]:
    """Ticks of a voice, with their pictures unless `render` is false."""
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(0)
    if changes:
        pipeline.control(state, pipeline.controls.changed(state.controls, changes))
    first = 16 * person.lookahead_ms
    pieces = [pcm[:first], *(pcm[k : k + 640] for k in range(first, len(pcm) - 639, 640))]
    done = []
    for piece in pieces[:ticks]:
        work = Work(state, piece, render)
        pipeline.advance([work])
        assert work.error is None, work.error
        done.append(work)
    return done


class Offline:
    """What the program does, in its order, with its own files."""

    def __init__(self, files: small.Sample, person: Person) -> None:
        self.networks = read_networks(request(files))
        self.model = read_face_model(files.model / "BFM_model_front.mat").model
        self.uv = np.load(files.model / "uv.npy")[:, :2]
        self.row = np.load(files.coefficients)[0]
        self.photograph = np.asarray(Image.open(files.image))
        self.behind = Clip(person.parts["background.mp4"], budget=1 << 26).frame(0)

    @torch.no_grad()
    def said(self, pcm: F32, code: F32) -> F32:
        """Expressions f32[T, 64], each the last of its window, of the sound heard at once."""
        cepstra = Cepstra({**DEEPSPEECH, "energy": True})
        rows = cepstra.step(cepstra.initial_state(), pcm)[1:]
        assert self.networks.recognizer is not None and self.networks.motion is not None
        heard = self.networks.recognizer(torch.from_numpy(context(rows[:, :26]))[None])[0].numpy()
        whole = np.concatenate((heard, rows[:, 26:]), 1)
        told = []
        for k in range(TICKS):
            window = torch.from_numpy(motion.heard(whole[: 2 * k + 10], k - 31))[None]
            out = self.networks.motion(window[:, :29], window[:, 29:], torch.from_numpy(code)[None])
            told.append(out[0, :, 31].numpy())
        return np.stack(told)

    def levels(self, expression: F32, pose: F32) -> U8:
        """The face drawn as places in the texture."""
        row = self.row.copy()
        row[80:144], row[224:227], row[254:257] = expression, pose[:3], pose[3:]
        vertices = face.posed(self.model, torch.from_numpy(row)).vertices
        clip = face.clip_space(vertices, drawing.CAMERA).numpy().astype(np.float32)
        triangles = self.model.triangles.numpy().astype(np.int32)
        ids, barycentric, _ = rasterize(clip, triangles, 224, 224)
        return drawing.levels(drawing.drawn(ids, barycentric, triangles, self.uv))

    @torch.no_grad()
    def shown(self, levels: U8) -> tuple[F32, NDArray[np.bool_]]:
        """Luma f32[224, 224] of the face as the demo shows it, and what is well inside of it."""
        own = self.levels(self.row[80:144], self.row[[224, 225, 226, 254, 255, 256]])
        seen = texture.scattered(np.ascontiguousarray(self.photograph[..., ::-1]), own)
        assert self.networks.encoder is not None
        neural = self.networks.encoder(texture.prepared(torch.from_numpy(seen)))
        places = torch.from_numpy(levels[None].astype(np.float32) / 255.0)
        made = self.networks.generator(texture.sampled(neural, places))
        outside = drawing.background(levels)
        bgr = generator.masked(made, torch.from_numpy(outside))[0].numpy()
        rgb = (bgr[::-1] + 1.0) / 2.0
        luma = 16.0 + 219.0 * np.tensordot([0.299, 0.587, 0.114], rgb, 1)
        near = torch.from_numpy(outside)[None, None].float()
        inside = torch.nn.functional.max_pool2d(near, 13, 1, 6)[0, 0].numpy() == 0.0
        return luma.astype(np.float32), inside


def off(found: list[Work], wanted: list[tuple[F32, NDArray[np.bool_]]]) -> float:
    """The largest share, of any frame's face, that is more than two levels off."""
    shares = []
    for work, (luma, inside) in zip(found, wanted, strict=True):
        assert work.crop is not None and inside.mean() > 0.05
        shares.append((np.abs(work.crop[0] - luma)[inside] > 2.0).mean())
    return float(max(shares))


def test_every_frame_is_the_programs(files: small.Sample, original: Person) -> None:
    """Sound to picture, in a style. Another style or face, or no voice, is another picture."""
    offline = Offline(files, original)
    codes = np.load(files.styles)
    assert original.lookahead_ms == 400
    found = run(original, SPEECH, style="sty 2")
    said = offline.said(SPEECH, codes[1])
    given = np.stack([work.coefficients for work in found])
    np.testing.assert_allclose(given, said, atol=5e-4 * np.abs(said).max())
    assert said.std(0).mean() > 1e-3, "the voice moves the face"

    pose = offline.row[[224, 225, 226, 254, 255, 256]]
    wanted = [offline.shown(offline.levels(row, pose)) for row in said]
    assert off(found, wanted) < 5e-3
    rest = offline.shown(offline.levels(np.zeros(64, np.float32), pose))
    assert off(found, [rest] * TICKS) > 0.02
    offline.row[:80] += 1.0
    assert off(found, [offline.shown(offline.levels(row, pose)) for row in said]) > 0.02


def test_outside_of_the_head_is_the_persons_own_picture(
    files: small.Sample, original: Person
) -> None:
    offline = Offline(files, original)
    work = run(original, SPEECH, ticks=1)[-1]
    assert work.coefficients is not None and work.i420 is not None
    levels = offline.levels(work.coefficients, offline.row[[224, 225, 226, 254, 255, 256]])
    outside = drawing.background(levels)
    apart = planes_of(work.i420)[0].astype(int) - planes_of(offline.behind)[0]
    assert outside.mean() > 0.2
    assert (np.abs(apart[outside]) > 2).mean() < 5e-3
    assert np.abs(apart[~outside]).mean() > 10.0


def test_styles_are_blended(files: small.Sample, original: Person) -> None:
    offline = Offline(files, original)
    codes = np.load(files.styles)
    blend = run(original, SPEECH, render=False, style={"sty 1": 1.0, "sty 3": 3.0})
    said = offline.said(SPEECH, 0.25 * codes[0] + 0.75 * codes[2])
    found = np.stack([work.coefficients for work in blend])
    np.testing.assert_allclose(found, said, atol=5e-4 * np.abs(said).max())
    for code in codes:
        assert np.abs(offline.said(SPEECH, code) - said).max() > 1e-2 * np.abs(said).max()


def test_the_head_follows_another(files: small.Sample, original: Person) -> None:
    driven = run(original, SPEECH, ticks=5, head="driven")
    still = run(original, SPEECH, ticks=2, head="still")
    poses = np.stack([work.choice.pose for work in driven])
    own = np.load(files.coefficients)[0, [224, 225, 226, 254, 255, 256]]
    np.testing.assert_allclose(poses[:5, 1], own[1] + np.linspace(-0.3, 0.3, 5), atol=1e-6)
    assert all((work.choice.pose == own).all() for work in still)
    assert np.abs(driven[0].crop[0].astype(int) - still[0].crop[0]).mean() > 1.0


def test_native_motion_is_ours(files: small.Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    without_graphs(monkeypatch)
    person = draft(request(files, checkpoints=files.checkpoints[1:]), lambda line: None)
    assert person.stages["motion"]["op"] == "tract@2" and person.lookahead_ms == 120
    parts = {role: parse_array(role, data) for role, data in person.parts.items() if "map" in role}
    (moves,) = parts.values()
    model = read_face_model(files.model / "BFM_model_front.mat").model
    identity = torch.from_numpy(np.load(files.coefficients)[0, :80])

    def gap(expression: F32) -> float:
        points = face.shape(model, identity, torch.from_numpy(expression))[model.landmarks]
        return float((points[62] - points[66]).norm() / (points[36] - points[45]).norm())

    # The first move parts the lips: by so many distances between the eyes as are asked for.
    assert moves.shape == (64, 6)
    parted = gap(np.asarray(0.1 * moves[:, 0], np.float32)) - gap(np.zeros(64, np.float32))
    assert 0.05 < parted < 0.15
    assert not person.controls


@pytest.mark.long
@torch.no_grad()
def test_native_motion_of_a_tuned_person_in_a_photograph(
    files: small.Sample, tmp_path: Path
) -> None:
    """The crop lies in a larger picture; two generators make it."""
    row = np.load(files.coefficients)[0]
    model = read_face_model(files.model / "BFM_model_front.mat").model
    marks = landmarks(model, row)
    photograph = small.photograph(360, 480)
    Image.fromarray(photograph).save(tmp_path / "photograph.png")
    points = marks * 1.25 + [90.0, 30.0]
    person = made(
        files,
        checkpoints=files.tuned,
        image=tmp_path / "photograph.png",
        points=tuple((float(x), float(y)) for x, y in points),
    )
    assert (person.width, person.height) == (480, 360) and person.contains_licensed
    found = run(person, SPEECH, ticks=6)
    place = found[0].choice.place
    np.testing.assert_allclose(place, [[1.25, 0.0, 90.0], [0.0, 1.25, 30.0]], atol=1e-3)
    moved = np.abs(np.stack([work.coefficients for work in found]) - found[0].coefficients)
    assert moved.max() > 0.1
    assert found[-1].i420 is not None
    behind = Clip(person.parts["background.mp4"], budget=1 << 26).frame(0)
    apart = np.abs(found[-1].i420[:360].astype(int) - behind[:360])
    assert not apart[:25].any() and not apart[:, :85].any() and not apart[:, 375:].any()
    assert apart[80:300, 130:320].mean() > 5.0


@torch.no_grad()
def test_the_tuned_picture_is_joined_as_it_was_trained() -> None:
    torch.manual_seed(0)
    face_net, joiner = (
        generator.Generator(channels, 2).eval().requires_grad_(False) for channels in (16, 3)
    )
    neural = torch.rand(1, 16, 64, 64) * 2.0 - 1.0
    planes = torch.rand(1, 6, 224, 224)
    planes[:, 2] = 0.0
    planes[:, 2, 190:] = planes[:, 2, :30] = 1.0
    shown = picture.Picture(neural, face_net, joiner)(planes)
    outside = planes[:, 2:3]
    # Rows from 168 on: as far from the head as a square of 19 reaches.
    room = outside.clone()
    room[:, :, 190:199] = 0.0
    torch.testing.assert_close(picture.around(outside), room)
    frame = (planes[:, [5, 4, 3]] * 255.0) / 128.0 - 1.0
    head = face_net(texture.sampled(neural, planes[:, :2].permute(0, 2, 3, 1))) * (1.0 - outside)
    wanted = joiner(head + frame * room) * (1.0 - room) + frame * room
    wanted = ((wanted[:, [2, 1, 0]] + 1.0) / 2.0).clamp(0.0, 1.0)
    torch.testing.assert_close(shown, wanted, atol=1e-6, rtol=0.0)


def test_a_style_from_a_clip_is_its_formula(files: small.Sample) -> None:
    track = np.random.default_rng(3).normal(size=(40, 257)).cumsum(0).astype(np.float32) * 0.1
    np.save(files.folder / "talk.npy", track)
    spread = read_spread(files.spread)
    exp, pose = (np.load(path, allow_pickle=True) for path in files.spread)
    parts = [exp["s_m"], exp["d_s_m"], pose["d_s_m"]]
    np.testing.assert_array_equal(spread.mean, np.concatenate(parts))
    paths = (files.folder / "talk.npy", *files.spread, files.styles)
    found = read_styles(paths, lambda path: np.load(path))
    assert found.names == ("talk", "sty 1", "sty 2", "sty 3")
    wanted = style.style_code(track[:, 80:144], track[:, 224:227], track[:, 254:257], spread)
    np.testing.assert_allclose(found.codes[0], wanted, rtol=1e-5)
    np.testing.assert_array_equal(found.codes[1:], np.load(files.styles))


def test_the_crop_of_a_picture_is_where_the_drawn_face_lies() -> None:
    drawn = np.random.default_rng(0).uniform(60.0, 160.0, (68, 2)).astype(np.float32)
    whole = placed(small.photograph(400, 500), drawn * 2.0 + [20.0, -8.0], drawn)
    np.testing.assert_allclose(whole.place, [[2.0, 0.0, 20.0], [0.0, 2.0, -8.0]], atol=1e-3)
    five = np.stack([drawn[36:42].mean(0), drawn[42:48].mean(0), drawn[30], drawn[48], drawn[54]])
    again = placed(small.photograph(400, 500), five * 2.0 + [20.0, -8.0], drawn)
    np.testing.assert_allclose(again.place, whole.place, atol=1e-3)
    with pytest.raises(ImportRefused, match="of another picture"):
        placed(small.photograph(400, 500), drawn[::-1], drawn)


def saved(path: Path, rows: NDArray[Any]) -> Path:
    np.save(path, rows)
    return path


def changed(files: small.Sample, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A DeepSpeech checkpoint that something was done to."""
    tensors = small.deepspeech()
    change(tensors)
    write_checkpoint(folder / "speech", tensors)
    return folder / "speech.index"


def cut_off(folder: Path) -> Path:
    write_checkpoint(folder / "speech", small.deepspeech())
    data = folder / "speech.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 3])
    return folder / "speech.index"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f, t: {"checkpoints": f.checkpoints[2:]}, "generator"),
        (lambda f, t: {"checkpoints": f.checkpoints[:3]}, "texture encoder"),
        (lambda f, t: {"checkpoints": (*f.checkpoints, f.tuned[2])}, "either"),
        (lambda f, t: {"checkpoints": (*f.checkpoints, f.tuned[1])}, "belongs to a tuned person"),
        (lambda f, t: {"checkpoints": f.checkpoints[1:]}, "DeepSpeech's checkpoint"),
        (lambda f, t: {"checkpoints": (*f.checkpoints, cut_off(t))}, "two TensorFlow"),
        (lambda f, t: {"image": None}, "--image"),
        (lambda f, t: {"frames": 0}, "At least 1 frame"),
        (lambda f, t: {"coefficients": None}, "--coefficients"),
        (lambda f, t: {"coefficients": saved(t / "c.npy", np.zeros((1, 256)))}, "rows of 257"),
        (lambda f, t: {"face_model": None}, "--face-model"),
        (lambda f, t: {"face_model": f.styles}, "no face model"),
        (lambda f, t: {"face_model": t}, "neither BFM_model_front.mat"),
        (lambda f, t: {"lookahead_ms": 250}, "240 to 400 ms by 20"),
        (lambda f, t: {"styles": (saved(t / "s.npy", np.zeros((2, 134))),)}, "has 135 numbers"),
        (lambda f, t: {"styles": (saved(t / "s.npy", np.zeros((40, 257))),)}, "exp_mean_std.pkl"),
        (
            lambda f, t: {"styles": (saved(t / "s.npy", np.zeros((31, 257))), *f.spread)},
            "has 31 frames; a style is measured on 32",
        ),
        (
            lambda f, t: {"coefficients": saved(t / "c.npy", np.full((1, 257), 50.0))},
            "no face into the picture",
        ),
        (lambda f, t: {"motion": "native", "styles": (f.styles,)}, "belong to the original"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    files: small.Sample,
    tmp_path: Path,
    change: Callable[[small.Sample, Path], dict[str, Any]],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is refused after the picture's network was exported need not wait for it.
    without_graphs(monkeypatch)
    with pytest.raises(ImportRefused, match=words):
        draft(
            request(files, **{"motion": "original", **change(files, tmp_path)}), lambda line: None
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("layer_5/bias"), "'layer_5/bias' is missing"),
        (lambda t: t.update({"layer_1/LayerNorm/beta": np.zeros(3, np.float32)}), "LayerNorm"),
        (lambda t: t.update({"layer_3/bias": np.zeros(3, np.float32)}), "misshapen"),
        (lambda t: t.update({f"{CELL}/kernel": np.zeros((3, 8), np.float32)}), "kernel has shape"),
    ],
)
def test_another_recognizer_is_refused(
    files: small.Sample, tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    with pytest.raises(ImportRefused, match=words):
        read_deepspeech(changed(files, tmp_path, change))
    with pytest.raises(ImportRefused, match="is cut off"):
        read_deepspeech(cut_off(tmp_path))


def test_it_talks_live(original: Person) -> None:
    assert_talks_live(original)
