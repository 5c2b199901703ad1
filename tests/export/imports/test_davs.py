"""`davs` imported: what the engine shows is what its networks make of the whole utterance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.export.imports.davs_sample import (
    FEATURE,
    checkpoint,
    eyes_and_mouth,
    networks,
    photograph,
    save_clip,
    save_picture,
    save_voice,
    write_checkpoint,
)
from tests.export.imports.live_session import assert_talks_live
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.probe import probe_voice
from visavis.export.imports.davs import draft
from visavis.export.imports.draft import Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.pictures import read_clip
from visavis.export.imports.request import Request
from visavis.export.imports.write import pack
from visavis.models.systems.davs import FROM_SOUND, FROM_VIDEO, sound
from visavis.models.systems.davs.decoder import Decoder
from visavis.models.systems.davs.identity import IdentityEncoder
from visavis.models.systems.davs.tune import tune

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

TICKS = 25
STEPS = 2
CONSENT = {"by": "nobody, it is drawn", "on": "2026-01-01"}


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    """An aligned picture, the system's own motion, a clip whose mouth can be played."""
    folder = tmp_path_factory.mktemp("davs")
    return Request(
        system="davs",
        checkpoints=(write_checkpoint(folder / "101_DAVS_checkpoint.pth.tar", checkpoint()),),
        image=save_picture(folder / "face.png", photograph(256, 256)),
        drive=(save_clip(folder / "hello.mp4", [photograph(256, 256, k) for k in range(4)]),),
        motion="original",
        tune=STEPS,
        consent=CONSENT,
    )


@pytest.fixture(scope="module")
def made(request_: Request) -> Draft:
    return draft(request_, lambda sentence: None)


@pytest.fixture(scope="module")
def person(made: Draft, request_: Request) -> Person:
    return pack(made, request_).person()


def show(person: Person, ticks: list[F32], **controls: Any) -> tuple[U8, F32]:
    """Frames u8[T, H * 3 / 2, W] and coefficients f32[T, C]."""
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(0)
    if controls:
        chosen = pipeline.controls.changed(pipeline.controls.start, controls)
        pipeline.control(state, chosen)
    frames, coefficients = [], []
    for pcm in ticks:
        work = Work(state=state, pcm=pcm)
        pipeline.advance([work])
        assert work.error is None and work.i420 is not None and work.coefficients is not None
        frames.append(work.i420)
        coefficients.append(work.coefficients)
    return np.stack(frames), np.stack(coefficients)


@torch.no_grad()
def offline(
    request_: Request, voice: F32, steps: int, ticks: int = TICKS
) -> tuple[range, F32, F32]:
    """As the published program: frames, mouths f32[K, F], pictures f32[K, 256, 256, 3]."""
    made = networks()
    identity, decoder = cast(IdentityEncoder, made["ID_encoder"]), cast(Decoder, made["Decoder"])
    assert request_.image is not None
    face = torch.from_numpy(read_clip(request_.image)[0].astype(np.float32) / 255.0)
    picture = face.permute(2, 0, 1)[None].contiguous()
    if steps:
        with torch.enable_grad():
            tune(identity, decoder, picture, made["lip_feature_encoder"](picture), steps=steps)
    who = identity(picture)
    coefficients = sound.mfcc(voice)
    frames = range(sound.FIRST_FRAME, ticks)
    windows = np.stack([sound.window(coefficients, frame) for frame in frames])
    mouths = FROM_SOUND * made["mfcc_encoder"](torch.from_numpy(windows))
    pictures = torch.cat([decoder(*who, mouth[None]) for mouth in mouths])
    return frames, mouths.numpy(), pictures.permute(0, 2, 3, 1).numpy()


def luma(rgb: F32) -> NDArray[np.float64]:
    """BT.601, limited range, not yet rounded."""
    levels = 16.0 + rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966])
    return np.asarray(levels, np.float64)


def chroma(rgb: F32) -> NDArray[np.float64]:
    """U of BT.601, of pixels two by two."""
    u = 128.0 + rgb.astype(np.float64) @ np.array([-37.797, -74.203, 112.0])
    return np.asarray(u.reshape(len(u), 128, 2, 128, 2).mean((2, 4)), np.float64)


def test_the_engine_shows_what_the_networks_make_of_the_whole_utterance(
    person: Person, request_: Request
) -> None:
    ticks = probe_voice(140, TICKS)
    frames, mouths = show(person, ticks)
    known, wanted, pictures = offline(request_, np.concatenate(ticks), STEPS)
    np.testing.assert_allclose(mouths[known.start :], wanted, atol=2e-5 * np.abs(wanted).max())
    # Within the feather the crop is all that is seen.
    inner = slice(24, 232)
    shown = frames[known.start :, :256].astype(np.float64)
    assert np.abs(shown - luma(pictures))[:, inner, inner].max() <= 1.0
    u = frames[known.start :, 256:320].reshape(-1, 128, 128).astype(np.float64)
    assert np.abs(u - chroma(pictures))[:, 12:116, 12:116].max() <= 1.0
    # Neither a still nor a voice that comes a frame too late would do.
    assert np.abs(shown[1:] - luma(pictures)[:-1])[:, inner, inner].max() > 20.0
    assert np.abs(shown - shown.mean(0))[:, inner, inner].mean() > 2.0
    # At the border nothing but the photograph is seen.
    assert np.abs(frames[:, 0].astype(int) - frames[:1, 0]).max() == 0


def test_tuning_and_the_person_can_be_seen(person: Person, request_: Request) -> None:
    """The golden test would not notice a person without them if they changed nothing."""
    voice = np.concatenate(probe_voice(140, TICKS))
    _, _, tuned = offline(request_, voice, STEPS, 5)
    _, _, published = offline(request_, voice, 0, 5)
    assert np.abs(tuned - published).mean() > 0.01


def test_a_mouth_moves_with_the_voice_and_stands_still_in_silence(person: Person) -> None:
    silence = [np.zeros_like(pcm) for pcm in probe_voice(140, 12)]
    frames, mouths = show(person, silence)
    assert np.isfinite(mouths).all()
    assert np.array_equal(mouths, np.broadcast_to(mouths[0], mouths.shape))
    assert np.array_equal(frames[1:], np.broadcast_to(frames[1], frames[1:].shape))
    spoken, _ = show(person, probe_voice(140, 12))
    assert np.abs(np.diff(spoken[:, :256].astype(int), axis=0)).mean() > 1.0


def test_a_clips_mouth_is_played(made: Draft, person: Person, request_: Request) -> None:
    assert made.controls == {"performances": {"names": ["hello"], "parts": ["performance0.npy"]}}
    clip = np.stack(read_clip(request_.drive[0])).astype(np.float32) / 255.0
    with torch.no_grad():
        mouth = networks()["lip_feature_encoder"](torch.from_numpy(clip).permute(0, 3, 1, 2))
    wanted = FROM_VIDEO * mouth.numpy()
    assert wanted.shape == (4, FEATURE) and wanted.std(0).max() > 0.01
    _, played = show(person, probe_voice(140, 6), performance="hello")
    np.testing.assert_allclose(played[:4], wanted, atol=1e-5)
    np.testing.assert_allclose(played[4:6], wanted[:2], atol=1e-5)


def test_native_motion_is_learnt_from_speech(request_: Request, tmp_path: Path) -> None:
    speech = save_voice(tmp_path / "speech.wav", np.concatenate(probe_voice(40, 300, seed=1)))
    native = replace(request_, motion="native", speech=speech, drive=(), tune=0)
    made = draft(native, lambda sentence: None)
    person = pack(made, native).person()
    assert person.stages["motion"].op == "tract@2" and person.stages["audio"].op == "logmel@1"
    lips = {role: np.asarray(part) for role, part in person.stage_parts("motion").items()}
    assert lips["map"].shape == (FEATURE, 6)
    lookahead = made.lookahead_ms
    _, quiet = show(person, [np.zeros_like(p) for p in probe_voice(lookahead, 30)])
    rest = lips["rest"].astype(np.float32)
    assert np.array_equal(quiet[-1], rest)
    ticks = probe_voice(lookahead, 50, seed=2)
    _, moved = show(person, ticks)
    assert np.abs(moved - rest).max(0).mean() > 0.1
    # It is the system's own mouths that are met: better than the mean, by far better than others'.
    own = offline_mouths(np.concatenate(ticks), 50 - 4)
    moved = moved[: len(own)]
    fits = [np.corrcoef(own[:, c], moved[:, c])[0, 1] for c in range(FEATURE)]
    assert np.mean(fits) > 0.3


@torch.no_grad()
def offline_mouths(voice: F32, count: int) -> F32:
    padded = np.concatenate((voice, np.zeros(3200, np.float32)))
    rows = np.concatenate((np.zeros((8, 13)), sound.mfcc(padded)))
    windows = np.stack([sound.window(rows, frame + 2) for frame in range(count)])
    mouths: F32 = FROM_SOUND * networks()["mfcc_encoder"](torch.from_numpy(windows)).numpy()
    return mouths


def refused(request: Request) -> str:
    with pytest.raises(ImportRefused) as error:
        draft(request, lambda sentence: None)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("part", ["ID_encoder", "Decoder", "mfcc_encoder", "lip_feature_encoder"])
def test_a_checkpoint_without_a_network_is_refused(
    part: str, request_: Request, tmp_path: Path
) -> None:
    states = {name: state for name, state in checkpoint().items() if name != part}
    path = write_checkpoint(tmp_path / "part.pth.tar", states)
    assert "davs needs the" in refused(replace(request_, checkpoints=(path,)))


def test_a_checkpoint_of_other_shapes_is_refused(request_: Request, tmp_path: Path) -> None:
    states = checkpoint()
    states["Decoder"]["module.conv7_1.weight"] = torch.zeros(3, 2, 3, 3)
    del states["Decoder"]["module.conv7_2.bias"]
    path = write_checkpoint(tmp_path / "other.pth.tar", states)
    said = refused(replace(request_, checkpoints=(path,)))
    assert "conv7_1.weight" in said and "conv7_2.bias" in said
    states = checkpoint()
    states["mfcc_encoder"]["module.fc.bias"] = torch.zeros(17)
    path = write_checkpoint(tmp_path / "odd.pth.tar", states)
    assert "17 numbers" in refused(replace(request_, checkpoints=(path,)))


def test_what_is_missing_is_asked_for(request_: Request, tmp_path: Path) -> None:
    assert "--image" in refused(replace(request_, image=None))
    assert "--speech" in refused(replace(request_, motion="native"))
    assert "tuning" in refused(replace(request_, tune=1000))
    photo = save_picture(tmp_path / "photo.png", photograph())
    assert "--points" in refused(replace(request_, image=photo))
    quiet = save_voice(tmp_path / "quiet.wav", np.zeros(16000, np.float32))
    assert "silent" in refused(replace(request_, motion="native", speech=quiet, tune=0, drive=()))


def test_every_frame_of_a_clip_must_show_a_face(request_: Request, tmp_path: Path) -> None:
    """With a tracker any clip will do, without one only those that are aligned."""
    clip = save_clip(tmp_path / "wide.mp4", [photograph(256, 320, k) for k in range(3)])
    wide = replace(request_, drive=(clip,), tune=0)
    assert "aligned" in refused(wide)

    def find(frames: U8) -> list[F32 | None]:
        points = np.array(eyes_and_mouth(frames[0]))
        all_68 = np.zeros((68, 2), np.float32)
        all_68[36:42], all_68[42:48], all_68[[48, 54]] = points
        return [all_68, None, all_68][: len(frames)]

    assert "0.04 s" in refused(replace(wide, find_points=find))
    twice = (clip, request_.drive[0].with_name("wide.mp4"))
    assert "same name" in refused(replace(wide, drive=twice))


def test_it_talks_live(person: Person) -> None:
    assert_talks_live(person)
