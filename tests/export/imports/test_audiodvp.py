"""An `audiodvp` person in the engine against its networks and formulas run offline, one by one."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from tests.engines.tiny_person import voice
from tests.export.imports import audiodvp_sample as small
from tests.export.imports.live_session import assert_talks_live
from visavis.engines.clip import Clip
from visavis.engines.footage import forth_and_back
from visavis.engines.i420 import planes_of
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.raster import RasterRule, rasterize
from visavis.export.face_model_file import read_face_model
from visavis.export.imports import audiodvp, audiodvp_face, onnx_graph
from visavis.export.imports.audiodvp import draft
from visavis.export.imports.audiodvp_face import landmarks, masks_of, mesh_of, read_model
from visavis.export.imports.audiodvp_footage import read_footage
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request
from visavis.export.imports.write import pack
from visavis.models.systems import mfcc
from visavis.models.systems.audiodvp import composite, expression, face
from visavis.models.systems.audiodvp.live import STATE, LiveMotion

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Planes = tuple[F64, F64, F64]

TICKS = 11
SOME = (6, 9)  # ticks at which toys are compared
GREY = np.zeros((3, small.SIZE, small.SIZE), np.float32)  # a frame that is not there
UNIT = 100_000 / 92_156.7


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> small.Sample:
    torch.set_num_threads(1)
    return small.sample(tmp_path_factory.mktemp("audiodvp"))


def request(files: small.Sample, **changes: Any) -> Request:
    return replace(
        Request(
            system="audiodvp",
            checkpoints=files.networks,
            clip=files.crops,
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
        patch.setattr(audiodvp, "exported", exported)
        yield make


class Offline:
    """What the program does to a whole utterance, in its order."""

    def __init__(self, files: small.Sample, person: Person) -> None:
        self.networks = small.networks()
        model = read_face_model(files.model).model
        self.model = replace(
            model,
            mean=model.mean * UNIT,
            identity=model.identity * UNIT,
            expression=model.expression * UNIT,
        )
        self.lower = self.model.triangles[face.lower_triangles(self.model)].numpy()
        self.numbers = small.coefficients()
        decoded = Clip(person.parts["background.mp4"], budget=1 << 26)
        self.frames = [rgb(decoded.frame(n)) for n in range(small.FRAMES)]
        self.masks = [self.mask(n) for n in range(small.FRAMES)]

    @torch.no_grad()
    def heard(self, pcm: F32) -> F32:
        """Expressions f32[T, 64]."""
        seen = torch.from_numpy(mfcc.clip_windows(pcm))
        windows = expression.windows(self.networks["audio"](seen))
        made: F32 = self.networks["expression"](windows).numpy()
        return made

    def _covered(self, delta: F32, number: int) -> tuple[Any, Any, torch.Tensor]:
        own = {name: torch.from_numpy(rows[number]) for name, rows in self.numbers.items()}
        found = face.posed(self.model, **{**own, "delta": torch.from_numpy(delta)})
        clip = face.clip_space(found.vertices).numpy()
        rule = RasterRule(inside_tolerance=1e-5, later_wins=True)
        ids, shares, _ = rasterize(clip, self.lower.astype(np.int32), face.SIZE, face.SIZE, rule)
        return ids, shares, found.colours

    def drawing(self, delta: F32, number: int) -> F32:
        """What the renderer sees of one frame, f32[3, 256, 256]."""
        ids, shares, colours = self._covered(delta, number)
        mixed = (colours.numpy()[self.lower[ids]] * shares[..., None]).sum(2)
        picture = np.where(ids[..., None] >= 0, np.clip(mixed, 0.0, 1.0), 0.0)
        levels = np.floor(255.0 * picture + 0.5)
        return np.asarray(np.moveaxis(levels / 127.5 - 1.0, -1, 0), np.float32)

    def mask(self, number: int) -> U8:
        """Where a frame's lower face may be seen, u8[256, 256]."""
        delta = self.numbers["delta"][number].copy()
        delta[0] = -8.0
        opened, closed = (self._covered(d, number)[0] >= 0 for d in (delta, 0 * delta))
        return composite.softened(composite.covering(opened, closed))

    @torch.no_grad()
    def shown(self, window: Sequence[F32], number: int, mask: U8 | None = None) -> Planes:
        """A frame of the footage with the face that is made of the seven drawings around it."""
        planes = torch.from_numpy(np.concatenate(window))[None]
        made = self.networks["renderer"](planes)[0].permute(1, 2, 0).numpy()
        levels = np.rint((made + 1.0) * 127.5).astype(np.uint8)
        mask = self.masks[number] if mask is None else mask
        return coded(composite.blend(mask, levels, self.frames[number]))


def around(drawings: Sequence[F32], k: int, ahead: int = 3) -> list[F32]:
    """Seven drawings, k in the middle; grey before the first, after k + ahead the same again."""
    places = [min(k + n, k + ahead) for n in range(-3, 4)]
    return [drawings[place] if place >= 0 else GREY for place in places]


def rgb(i420: U8) -> U8:
    """BT.601, limited range; the pictures here have one colour, so its planes need no care."""
    y, u, v = (np.asarray(plane, np.float64) for plane in planes_of(i420))
    grey = (y - 16) * 255 / 219
    cb, cr = (np.kron(plane - 128, np.ones((2, 2))) * 255 / 224 for plane in (u, v))
    colours = [grey + 1.402 * cr, grey - 0.344136 * cb - 0.714136 * cr, grey + 1.772 * cb]
    return np.clip(np.rint(np.stack(colours, -1)), 0, 255).astype(np.uint8)


def coded(picture: U8) -> Planes:
    """Luma f64[S, S], blue and red difference f64[S/2, S/2]."""
    colours = picture.astype(np.float64) / 255.0
    grey = colours @ [0.299, 0.587, 0.114]
    half = small.SIZE // 2
    blue, red = (
        (128 + 224 * (colours[..., k] - grey) / weight).reshape(half, 2, half, 2).mean((1, 3))
        for k, weight in ((2, 1.772), (0, 1.402))
    )
    return 16 + 219 * grey, blue, red


def run(person: Person, pcm: F32) -> list[Work]:
    """Every tick of a voice, with its picture."""
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(0)
    first = 16 * person.lookahead_ms
    pieces = [pcm[:first], *(pcm[k : k + 640] for k in range(first, len(pcm) - 639, 640))]
    done = []
    for piece in pieces[:TICKS]:
        work = Work(state, piece)
        pipeline.advance([work])
        assert work.error is None, work.error
        done.append(work)
    assert len(done) == TICKS
    return done


def off(found: Sequence[Work], wanted: Sequence[Planes], left: int = 0, top: int = 0) -> float:
    """The largest share, of any plane's pixels, that is more than two levels off, colour eight.

    Colour is mixed at half the size here and at full size offline, which differs at a mask's edge.
    """
    return max(
        float((np.abs(crop_of(plane, left, top, len(one)) - one) > most).mean())
        for work, planes in zip(found, wanted, strict=True)
        if work.i420 is not None
        for plane, one, most in zip(planes_of(work.i420), planes, (2.0, 8.0, 8.0), strict=True)
    )


def crop_of(plane: U8, left: int, top: int, size: int) -> U8:
    """Of luma, or of chroma, which is half as fine."""
    left, top = (place * size // small.SIZE for place in (left, top))
    return plane[top : top + size, left : left + size]


SPEECH = np.asarray(voice(1.4, seed=3), np.float32)
ORDER = [forth_and_back(k, small.FRAMES) for k in range(TICKS)]


def test_with_three_frames_ahead_every_frame_is_the_programs(
    files: small.Sample, made: Callable[..., Person]
) -> None:
    """Sound to picture, 420 ms of sound ahead. The footage alone starts three frames later."""
    person = made(motion="original", ahead=3)
    assert person.lookahead_ms == 420
    offline = Offline(files, person)
    found = run(person, SPEECH)
    heard = offline.heard(SPEECH)[: TICKS + 3]
    drawn = np.stack([work.coefficients for work in found])
    np.testing.assert_allclose(drawn, heard[3:], atol=2e-4)
    assert heard.std(0).mean() > 0.1, "the voice moves the mouth"
    # In tick t the frame of t is shown with the footage of three ticks before; the first waits.
    numbers = [ORDER[max(t - 3, 0)] for t in range(TICKS)]
    assert [work.choice.index for work in found] == numbers
    assert [work.drawn.index for work in found] == ORDER

    drawings = [offline.drawing(heard[t + 3], ORDER[t]) for t in range(TICKS)]
    program = [offline.shown(around(drawings, k), ORDER[k]) for k in range(TICKS - 3)]
    assert off(found[3:], program) < 1e-3
    # Until then the first frame is shown, and the newest is its future.
    for t in range(3):
        window = [GREY] * 3 + [drawings[min(n, t)] for n in range(4)]
        assert off([found[t]], [offline.shown(window, ORDER[0])]) < 1e-3

    held = [offline.shown(around(drawings, k - 3, 0), ORDER[k - 3]) for k in SOME]
    assert off([found[k] for k in SOME], held) > 0.01, "what comes is seen"


def test_without_frames_ahead_the_newest_stands_for_them(
    files: small.Sample, made: Callable[..., Person]
) -> None:
    """Nothing else differs from the program. Toys without voice, pose or history fail."""
    person = made(motion="original")
    assert person.lookahead_ms == 300
    offline = Offline(files, person)
    found = run(person, SPEECH)
    heard = offline.heard(SPEECH)[:TICKS]
    np.testing.assert_allclose(np.stack([w.coefficients for w in found]), heard, atol=2e-4)
    assert [work.choice.index for work in found] == ORDER
    drawings = [offline.drawing(*pair) for pair in zip(heard, ORDER, strict=True)]
    shown = [offline.shown(around(drawings, k, 0), n) for k, n in enumerate(ORDER)]
    assert off(found, shown) < 1e-3

    def toy(faces: Sequence[F32], mask: int | None = None, history: bool = True) -> float:
        lumas = []
        for k in SOME:
            window = around(faces, k, 0) if history else [faces[k]] * 7
            shown_through = None if mask is None else offline.masks[mask]
            lumas.append(offline.shown(window, ORDER[k], shown_through))
        return off([found[k] for k in SOME], lumas)

    assert toy(drawings) < 1e-3
    assert toy([offline.drawing(0 * row, n) for row, n in zip(heard, ORDER, strict=True)]) > 0.01
    assert toy([offline.drawing(row, 0) for row in heard]) > 0.01
    assert toy(drawings, mask=0) > 0.002
    assert toy(drawings, history=False) > 0.01


def test_native_motion_in_whole_frames(files: small.Sample, made: Callable[..., Person]) -> None:
    """It needs no network of the sound. Outside the mask nothing changes."""
    left, top = small.SQUARE
    corners = ((left, top), (left + small.SIZE, top + small.SIZE))
    person = made(checkpoints=(files.renderer,), clip=files.clip, points=corners)
    assert person.stages["motion"].op == "tract@2" and person.lookahead_ms <= 200
    assert person.contains_licensed
    assert (person.width, person.height) == (small.WIDTH, small.HEIGHT)
    found = run(person, SPEECH)
    moving = np.stack([work.coefficients for work in found])
    assert moving.shape == (TICKS, 64) and moving.std(0).max() > 0.01

    decoded = Clip(person.parts["background.mp4"], budget=1 << 26)
    crop = np.s_[top : top + small.SIZE, left : left + small.SIZE]
    offline = Offline(files, person)
    offline.frames = [frame[crop] for frame in offline.frames]
    drawings = [offline.drawing(*pair) for pair in zip(moving, ORDER, strict=True)]
    for k, (work, n) in enumerate(zip(found, ORDER, strict=True)):
        behind = planes_of(decoded.frame(n))[0]
        assert work.i420 is not None
        picture = planes_of(work.i420)[0]
        untouched = np.ones(picture.shape, bool)
        untouched[crop] = offline.masks[n] == 0
        assert np.array_equal(picture[untouched], behind[untouched])
        wanted = offline.shown(around(drawings, k, 0), n)
        assert off([work], [wanted], left, top) < 1e-3


def test_the_crop_alone(made: Callable[..., Person], files: small.Sample) -> None:
    left, top = small.SQUARE
    corners = ((left, top), (left + small.SIZE, top + small.SIZE))
    person = made(clip=files.clip, points=corners, face_only=True)
    crops = made()
    assert (person.width, person.height) == (small.SIZE, small.SIZE)
    first, other = (
        Clip(p.parts["background.mp4"], budget=1 << 26).frame(3) for p in (person, crops)
    )
    assert np.abs(first.astype(int) - other).max() <= 6


def test_masks_of_a_long_clip_are_half_the_size(
    files: small.Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = read_model(request(files))
    track = read_footage(request(files), model).track
    mesh = mesh_of(model, track)
    with torch.no_grad():
        whole = masks_of(mesh, track)
        monkeypatch.setattr(audiodvp_face, "MOST_MASK_BYTES", whole.nbytes - 1)
        half = masks_of(mesh, track)
    assert whole.shape == (8, 256, 256) and half.shape == (8, 128, 128)
    assert (whole == 0).any() and (whole == 255).any() and (np.diff(whole, axis=0) != 0).any()
    pooled = whole.reshape(8, 128, 2, 128, 2).mean((2, 4))
    assert np.abs(half - pooled).max() <= 0.5


def test_the_points_of_the_first_frame_place_the_crop(files: small.Sample) -> None:
    asked = request(files, clip=files.clip)
    model, _ = read_model(asked)
    left, top = small.SQUARE
    corners = ((left, top), (left + small.SIZE, top + small.SIZE))
    stored = read_footage(replace(asked, points=corners), model)
    there = landmarks(model, stored.track, 0) + np.float32(small.SQUARE)
    # The camera mirrors: what a tracker calls the right eye is on the picture's left.
    assert there[36, 0] < there[45, 0] and there[8, 1] > there[27, 1]
    found = read_footage(replace(asked, find_points=lambda frames: [there]), model)
    np.testing.assert_allclose(found.place, [[1, 0, left], [0, 1, top]], atol=1e-3)
    np.testing.assert_allclose(stored.place, [[1, 0, left], [0, 1, top]], atol=1e-6)
    with pytest.raises(ImportRefused, match="another clip"):
        read_footage(replace(asked, find_points=lambda frames: [there[::-1]]), model)


def test_the_systems_own_face_model(files: small.Sample, tmp_path: Path) -> None:
    """`data.mat` is in the unit of this system, and in that of the others when it is read."""
    arrays = scipy.io.loadmat(files.model)
    columns = {
        "geo_mean": arrays["meanshape"].T * UNIT,
        "id_base": arrays["idBase"] * UNIT,
        "exp_base": arrays["exBase"] * UNIT,
        "tex_mean": arrays["meantex"].T / 255,
        "tex_base": arrays["texBase"] / 255,
        "triangles": arrays["tri"].astype(np.int32) - 1,
        "key_points": arrays["keypoints"].astype(np.int64) - 1,
        "mouth_triangles": arrays["tri"].astype(np.int32) - 1,
    }
    scipy.io.savemat(tmp_path / "data.mat", columns)
    own = read_face_model(tmp_path / "data.mat").model
    other = read_face_model(files.model).model
    for name in ("mean", "identity", "expression", "colour", "colours"):
        torch.testing.assert_close(getattr(own, name), getattr(other, name), rtol=1e-5, atol=1e-5)
    assert torch.equal(own.triangles, other.triangles)
    assert torch.equal(own.landmarks, other.landmarks)
    scaled, reason = read_model(request(files, face_model=tmp_path / "data.mat"))
    assert reason is not None
    np.testing.assert_allclose(
        (scaled.mean[:, 0]).numpy(), columns["geo_mean"].reshape(-1, 3)[:, 0], rtol=1e-5
    )


@pytest.fixture(scope="module")
def live() -> tuple[LiveMotion, dict[str, nn.Module]]:
    networks = small.networks()
    motion = LiveMotion(networks["audio"], networks["expression"])  # type: ignore[arg-type]
    return motion, networks


@settings(max_examples=8, deadline=None)
@given(count=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_frame_by_frame_as_all_at_once(
    live: tuple[LiveMotion, dict[str, nn.Module]], count: int, seed: int
) -> None:
    """Features of frames that are not there are zeros, and not those of silence."""
    motion, networks = live
    rows = np.random.default_rng(seed).normal(0.0, 10.0, (count, 28, 12)).astype(np.float32)
    with torch.no_grad():
        features = networks["audio"](torch.from_numpy(rows))
        wanted = networks["expression"](expression.windows(features))
        states = [torch.zeros(1, *shape) for shape in STATE.values()]
        made = []
        quiet = np.zeros((4, 28, 12), np.float32)  # before the first frame: silence, not run
        for window in (*quiet, *rows):
            delta, *states = motion(torch.from_numpy(window)[None], *states)
            made.append(delta[0])
    found = torch.stack(made[4 + 3 :]) if count > 3 else torch.zeros(0, 64)
    torch.testing.assert_close(found, wanted[: len(found)], rtol=1e-4, atol=1e-4)


def save(path: Path, state: Any) -> Path:
    torch.save(state, path)
    return path


def renderer_of(files: small.Sample, folder: Path, channels: int) -> Path:
    state = torch.load(files.renderer, weights_only=True)
    first = state["model.model.0.weight"]
    state["model.model.0.weight"] = first[:, :1].repeat(1, channels, 1, 1)
    return save(folder / "other_net_G.pth", state)


def changed(files: small.Sample, folder: Path, change: Callable[[Path], None]) -> dict[str, Any]:
    """The coefficients with something done to them."""
    own = folder / "own"
    shutil.copytree(files.coefficients, own)
    change(own)
    return {"coefficients": own}


def unlink(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def short(folder: Path) -> None:
    for name in small.coefficients():
        for number in (7, 8):
            (folder / name / f"{number:05d}.pt").unlink()


def write(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: torch.save(value, folder / name)


def drop_beta(folder: Path) -> None:
    shutil.rmtree(folder / "beta")


BAD: dict[str, tuple[Callable[[small.Sample, Path], dict[str, Any]], str]] = {
    "no renderer": (lambda f, t: {"checkpoints": (f.audio, f.expression)}, "neural renderer"),
    "no sound": (
        lambda f, t: {"checkpoints": (f.renderer, f.expression), "motion": "original"},
        "AT_net",
    ),
    "no expressions": (
        lambda f, t: {"checkpoints": (f.renderer, f.audio), "motion": "original"},
        "audio-to-expression",
    ),
    "other window": (
        lambda f, t: {"checkpoints": (renderer_of(f, t, 9),)},
        "takes 9 channels, and not the 21 of 7 pictures",
    ),
    "motion": (lambda f, t: {"motion": "both"}, "native or original"),
    "too far ahead": (lambda f, t: {"motion": "original", "ahead": 4}, "0 to 3 coming frames"),
    "ahead, native": (lambda f, t: {"ahead": 3}, "--motion original"),
    "look-ahead": (lambda f, t: {"motion": "original", "lookahead_ms": 100}, "is 300 ms"),
    "no clip": (lambda f, t: {"clip": None}, "--clip"),
    "no face model": (lambda f, t: {"face_model": None}, "--face-model"),
    "no folder": (lambda f, t: changed(f, t, drop_beta), "beta cannot be read"),
    "unequal": (
        lambda f, t: changed(f, t, unlink("gamma/00008.pt")),
        "gamma is of 7 frames and .* of 8",
    ),
    "a gap": (lambda f, t: changed(f, t, unlink("delta/00004.pt")), "lacks frame 4"),
    "few": (lambda f, t: changed(f, t, short), "is of 6 frames; the renderer sees 7"),
    "few shown": (lambda f, t: {"frames": 5}, "5 are too few"),
    "wrong length": (
        lambda f, t: changed(f, t, write("delta/00003.pt", torch.zeros(63, 1))),
        "00003.pt holds 63 numbers, not 64",
    ),
    "other model": (
        lambda f, t: changed(
            f,
            t,
            lambda d: [  # type: ignore[func-returns-value, return-value]
                torch.save(torch.zeros(79), file) for file in (d / "alpha").iterdir()
            ],
        ),
        "79 numbers of identity",
    ),
    "not finite": (
        lambda f, t: changed(f, t, write("rotation/00002.pt", torch.full((3, 1), np.nan))),
        "not finite",
    ),
    "several persons": (
        lambda f, t: changed(f, t, write("alpha/00008.pt", torch.ones(80, 1))),
        "alpha differs",
    ),
    "far away": (
        lambda f, t: changed(f, t, write("translation/00002.pt", torch.tensor([90.0, 0, 0]))),
        "frame 2 put no face",
    ),
    "code": (
        lambda f, t: changed(f, t, write("delta/00002.pt", torch.nn.ReLU())),
        "wants to run",
    ),
    "clip too short": (
        lambda f, t: changed(
            f,
            t,
            lambda d: small.write_coefficients(
                d, {k: np.concatenate([v, v]) for k, v in small.coefficients().items()}
            ),
        ),
        "has 8 frames and .* is of 16",
    ),  # fmt: skip
    "where is the crop": (lambda f, t: {"clip": f.clip}, "336x304 and not of crops"),
    "not square": (
        lambda f, t: {"clip": f.clip, "points": ((0, 0), (256, 200))},
        "must be square, not 256 by 200",
    ),
    "outside": (
        lambda f, t: {"clip": f.clip, "points": ((100, 100), (356, 356))},
        "does not lie in the frame",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    files: small.Sample, tmp_path: Path, what: str
) -> None:
    change, sentence = BAD[what]
    with pytest.raises(ImportRefused, match=sentence) as caught:
        draft(request(files, **change(files, tmp_path)), lambda line: None)
    assert "\n" not in str(caught.value)


def test_npy_as_well_as_pt(files: small.Sample, tmp_path: Path) -> None:
    for name, rows in small.coefficients().items():
        (tmp_path / name).mkdir()
        for number, row in enumerate(rows):
            np.save(tmp_path / name / f"{number:05d}.npy", row)
    asked = request(files)
    model, _ = read_model(asked)
    first = read_footage(asked, model).track
    second = read_footage(replace(asked, coefficients=tmp_path), model).track
    assert np.array_equal(first.delta, second.delta) and np.array_equal(first.pose, second.pose)
    assert np.array_equal(first.alpha, second.alpha) and np.array_equal(first.beta, second.beta)


def test_it_talks_live(made: Callable[..., Person]) -> None:
    assert_talks_live(made(motion="original"))
