"""`davs`: a person folded into the decoder, the tuning to a picture, other widths."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.export.imports.davs_sample import FEATURE, drawn, networks, photograph
from visavis.models.systems.davs.decoder import Decoder
from visavis.models.systems.davs.folded import FoldedDecoder
from visavis.models.systems.davs.identity import IdentityEncoder
from visavis.models.systems.davs.tune import MOUTH, tune


def picture(seed: int = 0) -> Tensor:
    face = photograph(256, 256, seed).astype(np.float32) / 255.0
    return torch.from_numpy(face).permute(2, 0, 1)[None].contiguous()


@torch.no_grad()
def two_mouths() -> tuple[Decoder, Tensor, Tensor, Tensor]:
    made = networks()
    vector, level_map = made["ID_encoder"](picture())
    mouths = torch.randn(2, FEATURE, generator=torch.Generator().manual_seed(5))
    return cast(Decoder, made["Decoder"]), vector, level_map, mouths


@pytest.mark.parametrize("align_corners", [True, False])
@torch.no_grad()
def test_a_folded_person_is_the_person(align_corners: bool) -> None:
    decoder, vector, level_map, mouths = two_mouths()
    decoder.align_corners = align_corners
    wanted = decoder(vector.expand(2, -1), level_map.expand(2, -1, -1, -1), mouths)
    found = FoldedDecoder(decoder, vector, level_map)(mouths)
    assert found.shape == (2, 3, 256, 256)
    assert float((found - wanted).abs().max()) < 1e-5
    # The test could not see a mouth or a person that counts for nothing.
    assert float((wanted[0] - wanted[1]).abs().mean()) > 0.005
    other = FoldedDecoder(decoder, vector, torch.zeros_like(level_map))(mouths)
    assert float((other - wanted).abs().mean()) > 0.005
    other = FoldedDecoder(decoder, torch.zeros_like(vector), level_map)(mouths)
    assert float((other - wanted).abs().mean()) > 0.001


def test_a_folded_person_has_less_to_compute_with() -> None:
    decoder, vector, level_map, _ = two_mouths()
    folded = FoldedDecoder(decoder, vector, level_map)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.ConvTranspose2d) for m in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    whole = sum(value.numel() for value in decoder.state_dict().values())
    kept = sum(parameter.numel() for parameter in folded.parameters())
    assert kept < 0.9 * whole


def test_tuning_learns_the_face_but_not_the_mouth() -> None:
    made = networks()
    identity, decoder = cast(IdentityEncoder, made["ID_encoder"]), cast(Decoder, made["Decoder"])
    face, mouth = picture(), torch.zeros(1, FEATURE)
    losses = tune(identity, decoder, face, mouth, steps=5)
    assert len(losses) == 5 and losses[-1] < losses[0]
    assert not decoder.training and not identity.training
    assert not any(parameter.requires_grad for parameter in decoder.parameters())

    again = networks()
    identity, decoder = cast(IdentityEncoder, again["ID_encoder"]), cast(Decoder, again["Decoder"])
    with torch.no_grad():
        first = decoder.train()(*identity.train()(face), mouth)
    missed = (first - face).abs().numpy()
    left, top, right, bottom = MOUTH
    missed[:, :, top:bottom, left:right] *= 0.001
    assert losses[0] == pytest.approx(4.0 * float(missed.mean()), rel=1e-4)


def test_no_steps_change_nothing() -> None:
    identity, decoder = IdentityEncoder(feature=8), drawn(Decoder(feature=8), 1)
    before = {key: value.clone() for key, value in decoder.state_dict().items()}
    assert tune(identity, cast(Decoder, decoder), picture(), torch.zeros(1, 8), steps=0) == []
    for key, value in decoder.state_dict().items():
        assert torch.equal(value, before[key]), key
