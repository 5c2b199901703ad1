"""How the cases of `davs` are run here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from visavis.export.parity.case import Case
from visavis.export.parity.check import Check, agree, exact
from visavis.export.parity.runner import Part
from visavis.models.systems.davs import FROM_SOUND, decoder, identity, mouth, sound
from visavis.models.systems.state import build, tensors

__all__ = ["PARTS"]


def _pictures(case: Case) -> Tensor:
    picture = torch.from_numpy(case.array("image")).float() / 255.0
    return picture.permute(2, 0, 1)[None]


def _mfcc(case: Case) -> list[Check]:
    samples = case.array("headpose/mfcc:pcm") / 32768.0
    found = sound.mfcc(samples)
    frames = sound.frames(len(samples))
    return [
        *agree("coefficients", found, case.array("mfcc"), case.tolerance),
        *exact(
            "frames",
            [frames[0], frames[-1], len(frames)],
            [2, case.about["last_l"], case.about["n_windows"]],
        ),
        *agree("first window", sound.window(found, 2), case.array("window_l2"), case.tolerance),
        *agree(
            "last window",
            sound.window(found, frames[-1]),
            case.array("window_last"),
            case.tolerance,
        ),
    ]


@torch.no_grad()
def _sound_encoder(case: Case) -> list[Check]:
    network = build(sound.SoundEncoder, tensors(case.weights()), sound.LAYOUT)
    found = network(torch.from_numpy(case.array("windows")))
    return agree("embedding", found, case.array("embedding"), case.tolerance)


@torch.no_grad()
def _identity_encoder(case: Case) -> list[Check]:
    network = build(identity.IdentityEncoder, tensors(case.weights()), identity.LAYOUT)
    vector, level_map = network(_pictures(case))
    return [
        *agree("vector", vector[0], case.array("id_vector"), case.tolerance),
        *agree("map", level_map[0], case.array("id_map3"), case.tolerance),
    ]


@torch.no_grad()
def _decoder(case: Case) -> list[Check]:
    corners = bool(case.about["align_corners"])
    make = partial(decoder.Decoder, align_corners=corners)
    network = build(make, tensors(case.weights()), decoder.LAYOUT)
    vector, level_map, feature = (
        torch.from_numpy(case.array(name))
        for name in ("id_encoder:id_vector", "id_encoder:id_map3", "mfcc_encoder:embedding")
    )
    found = network(vector[None], level_map[None], FROM_SOUND * feature[:1])
    return agree("picture", found, case.array("output"), case.tolerance)


@torch.no_grad()
def _mouth_encoder(case: Case) -> list[Check]:
    weights = tensors(case.weights())
    checks: list[Check] = []
    for name, corners in (("true", True), ("false", False)):
        make = partial(mouth.MouthEncoder, align_corners=corners)
        network = build(make, weights, mouth.LAYOUT)
        found = network(_pictures(case))[0]
        wanted = case.array(f"embedding_align_{name}")
        checks += agree(f"align_corners {name}", found, wanted, case.tolerance)
    return checks


PARTS: Mapping[str, Part] = {
    "mfcc13": _mfcc,
    "mfcc_encoder": _sound_encoder,
    "id_encoder": _identity_encoder,
    "decoder_align_true": _decoder,
    "decoder_align_false": _decoder,
    "lip_encoder": _mouth_encoder,
}
