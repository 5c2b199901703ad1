"""How the cases of `rhythmic` are run here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.export.parity.case import Case
from visavis.export.parity.check import Check, agree, exact, largest
from visavis.export.parity.runner import Part
from visavis.models.systems.rhythmic import head_motion, spectral
from visavis.models.systems.rhythmic.generator import Generator, Source
from visavis.models.systems.rhythmic.layout import generator_layout
from visavis.models.systems.state import build, tensors

__all__ = ["PARTS"]

CROP = (slice(None), slice(None), slice(100, 164), slice(100, 164))
FIRST_FRAME = 20  # of the audio
# Where attention is stored, which the case does not say: here ours agrees with it to the last bits.
COLUMN = (31, 16)


def _sketch(pixels: NDArray[Any]) -> Tensor:
    """f32[N, 1, S, S] of one sketch or of several."""
    return torch.from_numpy(pixels).float().reshape(-1, 1, *pixels.shape[-2:])


def _picture(pixels: NDArray[Any]) -> Tensor:
    """f32[N, 3, S, S] of one picture or of several."""
    pictures = torch.from_numpy(pixels.reshape(-1, *pixels.shape[-3:])).float()
    return (pictures / 127.5 - 1.0).permute(0, 3, 1, 2)


def _generator(shots: int | None) -> Part:
    """Return what runs a generator of a layout; see `Generator`."""

    @torch.no_grad()
    def run(case: Case) -> list[Check]:
        weights = tensors(case.weights())
        sigma = np.array(list(spectral.singular_values(weights).values()))
        network = build(lambda: Generator(shots), spectral.folded(weights), generator_layout(shots))
        sketch = _sketch(case.array("target_sketch"))
        references = network.references(
            _picture(case.array("ref_images")), _sketch(case.array("ref_sketches"))
        )
        attention = network.attended(references, sketch)
        appearance = network.appearance(references, attention)
        reference = network.warped_reference(sketch, _source(case, "warp_ref"))
        render = network.warped_render(sketch, _source(case, "ani"))
        picture = network(appearance, sketch, reference, render)

        stored, most = case.array("sigma"), case.tolerance
        checks = [
            *agree("picture", picture, case.array("output"), most),
            *largest("sigma over sigma - 1", sigma / stored - 1.0, 0.0 * stored, most["sigma_rel"]),
        ]
        for name, found in (
            ("flow_ref", reference.flow.pixels),
            ("weight_ref", reference.flow.weight),
            ("warped_ref", reference.image),
            ("flow_ani", render.flow.pixels),
        ):
            checks += agree(name, found[CROP], case.array(f"{name}_crop"), most)
        return checks + ([] if attention is None else _attention(case, attention))

    return run


def _source(case: Case, name: str) -> Source:
    return Source(_sketch(case.array(f"{name}_sketch")), _picture(case.array(f"{name}_image")))


def _attention(case: Case, attention: Tensor) -> list[Check]:
    """Shares of the references, and the one that has most."""
    row, column = COLUMN
    mean, one = attention[0].mean((1, 2)), attention[0, :, row, column]
    return [
        *agree("attention, mean", mean, case.array("attention_mean"), case.tolerance),
        *agree("attention, one place", one, case.array("attention_column"), case.tolerance),
        *exact("most attended", [int(mean.argmax())], case.array("ref_index")),
    ]


@torch.no_grad()
def _rotate_audio(case: Case) -> list[Check]:
    def weights(part: str) -> dict[str, Tensor]:
        salt, sha256 = case.about["salts"][part], case.about["weights_sha256_each"][part]
        return tensors(case.weights(f"rhythmic/{part}.schema.json", salt, sha256))

    samples = torch.from_numpy(case.array("headpose/mfcc:pcm") / np.float32(32768.0))
    wanted = case.array("output")
    rows = head_motion.audio_rows(samples, FIRST_FRAME, len(wanted))[None]
    embedded = build(head_motion.AudioEmbedding, weights("rotate_audio_embed"))(rows)
    past = build(head_motion.MotionHistory, weights("rotate_history"))(
        *(torch.from_numpy(case.array(name))[None] for name in ("rt_history", "audio_history"))
    )
    matrix, added = build(head_motion.MotionDecoder, weights("rotate_decode"))(past)
    return [
        *agree("audio", embedded[0], case.array("audio_embedding"), case.tolerance),
        *agree("history", past, case.array("history_vector"), case.tolerance),
        *agree("motion", (embedded @ matrix + added)[0], wanted, case.tolerance),
    ]


PARTS: Mapping[str, Part] = {
    "generator_n1": _generator(1),
    "generator_n1_old": _generator(None),
    "generator_n8": _generator(8),
    "rotate_audio": _rotate_audio,
}
