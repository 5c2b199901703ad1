"""A `headpose` person in the engine against its networks and formulas run offline, one by one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from tests.engines.tiny_person import voice
from tests.export.imports import headpose_sample as small
from tests.export.imports.live_session import assert_talks_live
from visavis.engines.clip import Clip
from visavis.engines.footage import forth_and_back
from visavis.engines.i420 import planes_of
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.raster import rasterize
from visavis.export.face_model_file import read_face_model
from visavis.export.imports import headpose, onnx_graph
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.headpose import draft
from visavis.export.imports.headpose_footage import read_footage
from visavis.export.imports.request import Request
from visavis.export.imports.write import pack
from visavis.models.systems import mfcc
from visavis.models.systems.headpose import face, generator, memory, motion

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

TICKS = 14


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> small.Sample:
    torch.set_num_threads(1)
    return small.sample(tmp_path_factory.mktemp("headpose"))


def request(files: small.Sample, **changes: Any) -> Request:
    return replace(
        Request(
            system="headpose",
            checkpoints=(files.generator, files.memory, files.motion),
            clip=files.clip,
            coefficients=files.coefficients,
            face_model=files.model,
            consent={"synthetic": True},
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def made(files: small.Sample) -> Iterator[Callable[..., Person]]:
    """What imports a person; networks are exported once, as all persons here have the same."""
    kept: dict[str, Any] = {}

    def exported(name: str, module: nn.Module, **how: Any) -> Any:
        if name not in kept:
            kept[name] = onnx_graph.exported(name, module, **how)
        return kept[name]

    def make(**changes: Any) -> Person:
        asked = request(files, **changes)
        return pack(draft(asked, lambda line: None), asked).person()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headpose, "exported", exported)
        yield make


@pytest.fixture(scope="module")
def original(made: Callable[..., Person]) -> Person:
    """Its own motion, the crop alone."""
    return made(motion="original", face_only=True)


class Offline:
    """What the program does to a whole utterance, in its order and with PIL's pictures."""

    def __init__(self, files: small.Sample, person: Person) -> None:
        self.networks = small.networks()
        self.model = read_face_model(files.model).model
        self.rows = small.coefficients()
        self.shifts = small.shifts()
        decoded = Clip(person.parts["background.mp4"], budget=1 << 26)
        self.frames = [decoded.frame(n) for n in range(small.FRAMES)]

    @torch.no_grad()
    def heard(self, pcm: F32) -> F32:
        """Expressions and poses f32[T, 70], z as it is meant."""
        network = self.networks["motion"]
        windows = torch.from_numpy(mfcc.clip_windows(pcm))[None]
        rows, _ = network(windows, motion.start())
        return motion.true_depth(rows[0]).numpy()

    def drawing(self, expression: F32, number: int) -> U8:
        """What the generator sees of one frame, u8[256, 256, 3]."""
        mixed = self.rows[0].copy()
        own = self.rows[number]
        mixed[80:144], mixed[224:227], mixed[254:257] = expression, own[224:227], own[254:257]
        found = face.posed(self.model, torch.from_numpy(mixed))
        clip = face.clip_space(found.vertices).numpy()
        triangles = self.model.triangles.numpy().astype(np.int32)
        ids, barycentric, _ = rasterize(clip, triangles, 224, 224)
        picture = face.drawn(ids, barycentric, triangles, found.colours.numpy())
        moved = face.shifted(np.rint(picture * 255).astype(np.uint8), *self.shifts[number])
        under = crop224(self.frames[number])
        laid = Image.fromarray(face.laid_over(moved, under))
        return np.array(laid.resize((256, 256), Image.Resampling.LANCZOS))

    @torch.no_grad()
    def feature(self) -> torch.Tensor:
        """The remembered value that frame 0 asks for."""
        seen = memory.normalised(torch.from_numpy(self.drawing(self.rows[0, 80:144], 0)))[None]
        query, _ = self.networks["memory"](seen)
        stored = small.tables()
        return stored["mem_value"][(query @ stored["mem_key"].T).argmax(1)]

    @torch.no_grad()
    def shown(self, drawings: Sequence[U8], feature: torch.Tensor) -> list[F64]:
        """Luma f64[256, 256] of every frame."""
        lumas = []
        for k in range(len(drawings)):
            three = np.stack([drawings[max(k - n, 0)] for n in (2, 1, 0)])
            frames = generator.normalised(torch.from_numpy(three)).flatten(0, 1)[None]
            colours, keep = self.networks["generator"](frames, feature)
            picture = generator.composite(frames, colours, keep)[0].permute(1, 2, 0).numpy()
            lumas.append(luma((picture + 1.0) / 2.0))
        return lumas


def crop224(i420: U8) -> U8:
    """A frame of 256 pixels in 224, red, green and blue of BT.601, limited range."""
    at = (np.arange(224) + 0.5) * 256 / 224 - 0.5
    sampled = []
    for plane, step in zip(planes_of(i420), (1, 2, 2), strict=True):
        where = (at + 0.5) / step - 0.5
        grid = np.meshgrid(where, where, indexing="ij")
        sampled.append(ndimage.map_coordinates(plane.astype(float), grid, order=1, mode="nearest"))
    grey = (sampled[0] - 16) * 255 / 219
    cb, cr = ((plane - 128) * 255 / 224 for plane in sampled[1:])
    colours = [grey + 1.402 * cr, grey - 0.344136 * cb - 0.714136 * cr, grey + 1.772 * cb]
    return np.clip(np.rint(np.stack(colours, -1)), 0, 255).astype(np.uint8)


def luma(picture: NDArray[np.floating]) -> F64:
    clipped = np.clip(np.asarray(picture, np.float64), 0.0, 1.0)
    return 16 + 219 * (clipped @ [0.299, 0.587, 0.114])


def run(person: Person, pcm: F32, head: str | None = None) -> list[Work]:
    """Every tick of a voice, with its picture."""
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(0)
    if head is not None:
        pipeline.control(state, replace(state.controls, head=head))
    first = 16 * person.lookahead_ms
    pieces = [pcm[:first], *(pcm[k : k + 640] for k in range(first, len(pcm) - 639, 640))]
    done = []
    for piece in pieces[:TICKS]:
        work = Work(state, piece)
        pipeline.advance([work])
        assert work.error is None, work.error
        done.append(work)
    return done


def shown_luma(work: Work) -> U8:
    assert work.i420 is not None
    return planes_of(work.i420)[0]


def off(found: Sequence[Work], wanted: Sequence[F64]) -> float:
    """The share of pixels that are more than two levels off."""
    shares = [
        float((np.abs(shown_luma(work) - luma) > 2.0).mean())
        for work, luma in zip(found, wanted, strict=True)
    ]
    assert max(shares) < 2e-3 or np.mean(shares) > 1e-2, "no frame is much worse than the rest"
    return float(np.mean(shares))


SPEECH = np.asarray(voice(1.0, seed=3), np.float32)


@pytest.mark.parametrize("head", ["own", "generated"])
def test_every_frame_is_the_programs(files: small.Sample, original: Person, head: str) -> None:
    """Sound to picture. Without history, pose, shift or voice it is another picture."""
    offline = Offline(files, original)
    found = run(original, SPEECH, head)
    heard = offline.heard(SPEECH[: 640 * (TICKS + 8)])[:TICKS]
    assert original.lookahead_ms == 180
    np.testing.assert_allclose(np.stack([w.coefficients for w in found]), heard, atol=2e-4)
    assert heard[:, :64].std(0).mean() > 0.05, "the voice moves the mouth"

    if head == "own":
        order = [forth_and_back(k, small.FRAMES) for k in range(TICKS)]
    else:
        order = followed(heard[:, 64:], offline.rows[:, [224, 225, 226, 254, 255, 256]])
        assert len(set(order)) > 1 and max(np.abs(np.diff(order))) <= 1
    assert [work.choice.index for work in found] == order

    feature = offline.feature()
    drawings = [offline.drawing(row[:64], n) for row, n in zip(heard, order, strict=True)]
    # What is left lies at the edges of triangles, where the last bit decides.
    assert off(found, offline.shown(drawings, feature)) < 1e-3

    silent = [offline.drawing(np.zeros(64, np.float32), n) for n in order]
    assert off(found, offline.shown(silent, feature)) > 0.01
    still = [offline.drawing(row[:64], 0) for row in heard]
    assert off(found, offline.shown(still, feature)) > 0.05
    assert off(found, offline.shown(drawings, torch.roll(feature, 1))) > 0.05
    offline.shifts = 0 * offline.shifts
    centred = [offline.drawing(row[:64], n) for row, n in zip(heard, order, strict=True)]
    assert off(found, offline.shown(centred, feature)) > 0.02
    newest = [offline.shown([drawing], feature)[0] for drawing in drawings]  # of three equal frames
    assert off(found, newest) > 0.02


def followed(wanted: F32, poses: F32) -> list[int]:
    """A frame a tick towards the frame of the nearest pose, by what a pose's numbers vary."""
    spread = np.maximum(poses.std(0), 1e-3)
    index, order = 0, []
    for row in wanted:
        nearest = int(np.argmin((np.abs(poses - row) / spread).sum(1)))
        index += (nearest > index) - (nearest < index)
        order.append(index)
    return order


def test_still_keeps_the_frame(original: Person) -> None:
    found = run(original, SPEECH, "still")
    assert {work.choice.index for work in found} == {0}
    assert not np.array_equal(shown_luma(found[4]), shown_luma(found[-1])), "the face still talks"


def test_native_motion_and_the_full_frame(made: Callable[..., Person]) -> None:
    person = made()
    assert person.stages["motion"].op == "tract@2" and person.lookahead_ms < 180
    assert person.contains_licensed
    assert (person.width, person.height) == (small.WIDTH, small.HEIGHT)
    found = run(person, SPEECH)
    decoded = Clip(person.parts["background.mp4"], budget=1 << 26)
    moving = np.stack([work.coefficients for work in found])
    assert moving.shape == (TICKS, 64) and moving.std(0).max() > 0.01
    width, height, left, top = small.CROP
    inside = np.zeros((small.HEIGHT, small.WIDTH), bool)
    inside[top : top + height, left : left + width] = True
    for k, work in enumerate(found):
        behind = planes_of(decoded.frame(forth_and_back(k, small.FRAMES)))[0]
        assert np.array_equal(shown_luma(work)[~inside], behind[~inside])
        changed = np.abs(shown_luma(work)[inside].astype(int) - behind[inside])
        assert changed.mean() > 2.0
    edge = np.abs(shown_luma(found[0])[top + 1, left : left + width].astype(int)
                  - planes_of(decoded.frame(0))[0][top + 1, left : left + width])  # fmt: skip
    assert edge.max() <= 12, "the crop fades in"


def test_the_first_points_place_the_crop_too(files: small.Sample, tmp_path: Path) -> None:
    """Where the program's rectangle is not kept, 68 points of the first frame find it again."""
    shutil.copytree(files.coefficients, tmp_path / "own")
    (tmp_path / "own" / "transbig.npy").unlink()
    model = read_face_model(files.model).model
    found = face.posed(model, torch.from_numpy(small.coefficients()[0]))
    points = face.pixels(found.vertices[model.landmarks]).numpy()  # from the drawing's corner
    width, _, left, top = small.CROP
    given = points * (width / 224) + [left, top] - 0.5  # middles are at whole numbers
    asked = request(files, coefficients=tmp_path / "own", frames=2)
    with pytest.raises(ImportRefused, match="--points"):
        read_footage(asked, model)
    marked = replace(asked, points=tuple((x, y) for x, y in given.tolist()))
    placed = read_footage(marked, model)
    stored = read_footage(request(files, frames=2), model)
    assert len(placed.frames) == len(stored.frames) == 2
    np.testing.assert_allclose(placed.place, stored.place, atol=1e-2)
    assert np.abs(stored.place - [[1, 0, 0], [0, 1, 0]]).max() > 20


def save(path: Path, state: Any) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f, t: {"checkpoints": (f.generator, f.memory), "motion": "original"}, "ATC_net"),
        (lambda f, t: {"checkpoints": (f.generator, f.motion)}, "memory"),
        (lambda f, t: {"checkpoints": (f.memory, f.motion)}, "generator"),
        (lambda f, t: {"checkpoints": (f.generator, f.generator, f.memory)}, "Both"),
        (lambda f, t: {"motion": "borrowed"}, "native or original"),
        (lambda f, t: {"clip": None}, "--clip"),
        (lambda f, t: {"coefficients": None}, "--coefficients"),
        (lambda f, t: {"face_model": None}, "--face-model"),
        (lambda f, t: {"face_model": f.generator}, "no face model"),
        (lambda f, t: {"frames": 0}, "at least 1"),
        (lambda f, t: {"coefficients": longer(t)}, "has 6 frames and .* is of 9"),
        (lambda f, t: {"coefficients": elsewhere(t)}, "outside of the clip of 300x240"),
        (lambda f, t: {"coefficients": short_row(t)}, "holds 256 coefficients, not 257"),
        (lambda f, t: {"coefficients": gap(t)}, "lacks frame1.mat"),
        (lambda f, t: {"coefficients": without_points(t)}, "lm_5p"),
        (lambda f, t: {"coefficients": not_finite(t)}, "not finite"),
        (lambda f, t: {"coefficients": cut_off(t)}, "frame1.mat cannot be read"),
        (lambda f, t: {"coefficients": t}, "holds no frame0.mat"),
        (lambda f, t: {"checkpoints": (narrow(f, t), f.memory)}, "identity features of 100"),
        (lambda f, t: {"checkpoints": (lacking(f, t), f.memory)}, "missing d3.deconv.weight"),
        (lambda f, t: {"checkpoints": (f.generator, keyless(f, t))}, "memory's keys"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    files: small.Sample,
    tmp_path: Path,
    change: Callable[[small.Sample, Path], dict[str, Any]],
    sentence: str,
) -> None:
    with pytest.raises(ImportRefused, match=sentence) as refused:
        draft(request(files, **change(files, tmp_path)), lambda line: None)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def longer(folder: Path) -> Path:
    small.write_coefficients(folder, np.zeros((9, 257)), np.zeros((9, 2)))
    np.save(folder / "transbig.npy", np.array(small.CROP))
    return folder


def elsewhere(folder: Path) -> Path:
    small.write_coefficients(folder, np.zeros((2, 257)), np.zeros((2, 2)))
    np.save(folder / "transbig.npy", np.array([300, 300, 700, 20]))
    return folder


def short_row(folder: Path) -> Path:
    small.write_coefficients(folder, np.zeros((2, 256)), np.zeros((2, 2)))
    return folder


def gap(folder: Path) -> Path:
    small.write_coefficients(folder, np.zeros((3, 257)), np.zeros((3, 2)))
    (folder / "frame1.mat").unlink()
    return folder


def without_points(folder: Path) -> Path:
    for n in range(2):
        scipy.io.savemat(folder / f"frame{n}.mat", {"coeff": np.zeros((1, 257))})
    return folder


def not_finite(folder: Path) -> Path:
    small.write_coefficients(folder, np.full((2, 257), np.nan), np.zeros((2, 2)))
    return folder


def cut_off(folder: Path) -> Path:
    small.write_coefficients(folder, np.zeros((2, 257)), np.zeros((2, 2)))
    data = (folder / "frame1.mat").read_bytes()
    (folder / "frame1.mat").write_bytes(data[: len(data) // 2])
    return folder


def state_of(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, weights_only=True))


def narrow(files: small.Sample, folder: Path) -> Path:
    state = state_of(files.generator)
    state["mlp.model.0.weight"] = state["mlp.model.0.weight"][:, :100].clone()
    return save(folder / "G.pth", state)


def lacking(files: small.Sample, folder: Path) -> Path:
    state = {key: value for key, value in state_of(files.generator).items() if "d3." not in key}
    return save(folder / "G.pth", state)


def keyless(files: small.Sample, folder: Path) -> Path:
    state = state_of(files.memory)
    return save(folder / "mem.pth", {**state, "mem_key": state["mem_key"][:-1].clone()})


def test_it_talks_live(original: Person) -> None:
    assert_talks_live(original)
