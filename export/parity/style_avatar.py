"""How the cases of `style_avatar` are run here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from visavis.engines.raster import RasterRule, rasterize
from visavis.export.parity.case import Case
from visavis.export.parity.check import Check, agree, exact, share
from visavis.export.parity.face import face_model
from visavis.export.parity.runner import Part
from visavis.models.systems.headpose import face
from visavis.models.systems.state import build, tensors
from visavis.models.systems.style_avatar import drawing, generator, motion, style, texture

__all__ = ["PARTS"]

RULE = RasterRule()
ROWS, COLUMNS = slice(60, 140), slice(70, 150)


def _style_code(case: Case) -> list[Check]:
    spread = style.Spread(
        *(
            np.concatenate(
                [case.array(f"{name}_{kind}") for name in ("exp_s", "exp_d_s", "pose_d_s")]
            )
            for kind in ("m", "s")
        )
    )
    rows = [case.array(name) for name in ("expression", "angles", "translation")]
    angles, translation = style.without_average(rows[1], rows[2])
    pose = style.pose_rows(angles, translation)
    code = style.style_code(rows[0], rows[1], rows[2], spread)
    return [
        *agree("angles", angles, case.array("filtered_angles"), case.tolerance),
        *agree("translation", translation, case.array("filtered_translation"), case.tolerance),
        *agree("pose", pose, case.array("pose7"), case.tolerance),
        *agree("code", code, case.array("style"), case.tolerance),
    ]


@torch.no_grad()
def _motion(case: Case) -> list[Check]:
    network = build(motion.Motion, tensors(case.weights()), motion.LAYOUT)
    posteriors, energy = case.array("prob"), case.array("energy")
    frames = len(posteriors) // 2
    starts = motion.starts(frames)
    audio = np.stack([motion.heard(posteriors, start) for start in starts])
    loud = np.stack([motion.heard(energy, start) for start in starts])
    code = torch.from_numpy(case.array("style")).expand(len(starts), -1)
    found = network(torch.from_numpy(audio), torch.from_numpy(loud), code).numpy()
    whole = motion.averaged(frames, zip(starts, found, strict=True))
    return [
        *exact("windows", starts, case.array("window_start")),
        *exact("first window's sound", audio[0], case.array("window0_audio")),
        *exact("last window's sound", audio[-1], case.array("window_last_audio")),
        *agree("windows' expression", found, case.array("window_outputs"), case.tolerance),
        *agree("expression", whole, case.array("expression"), case.tolerance),
    ]


def _raster(case: Case) -> list[Check]:
    model, stored, most = face_model(case), case.face_model(), case.tolerance
    triangles = stored["triangles"].astype(np.int32)
    vertices = face.posed(model, torch.from_numpy(case.array("coeff"))[0].double()).vertices
    ours = face.clip_space(vertices, drawing.CAMERA).float()
    wanted_ids, wanted_float = case.array("triangle_id"), case.array("uv_float")
    wanted, picture = case.array("uv_u8"), case.array("aligned_bgr")
    covered = wanted_ids[::-1] >= 0
    outside = case.array("background") > 0
    checks = agree("clip space", ours, case.array("clip"), {"max_abs": 1e-5})
    for name, clip in (("", case.array("clip")), (", ours", ours.numpy())):
        ids, barycentric, _ = rasterize(clip, triangles, face.SIZE, face.SIZE, RULE)
        coordinates = drawing.drawn(ids, barycentric, triangles, stored["uv"])
        levels = drawing.levels(coordinates)
        bound = most["uv_u8_fraction_of_covered_pixels_off_by_more_than_1"]
        exactly = np.abs(coordinates - wanted_float).max(2) > 1.0
        rounded = np.abs(levels.astype(int) - wanted[..., :2]).max(2) > 1
        made = texture.scattered(picture, levels)
        checks += [
            *share(f"coordinates{name}", exactly[covered], bound),
            *share(f"levels{name}", rounded[covered], bound),
            *exact(
                f"background{name}",
                drawing.background(levels),
                outside,
                most["background_mismatch_px"],
            ),
            *share(
                f"texture{name}",
                (made != case.array("texture_bgr")).any(2),
                most["texture_mismatch_fraction"],
            ),
        ]
    return [
        *checks,
        *exact("background of theirs", drawing.background(wanted), outside),
        *exact("texture of theirs", texture.scattered(picture, wanted), case.array("texture_bgr")),
    ]


@torch.no_grad()
def _texture(case: Case) -> list[Check]:
    network = build(texture.TextureEncoder, tensors(case.weights()), texture.LAYOUT)
    neural = network(texture.prepared(torch.from_numpy(case.array("texture_bgr"))))
    sampled = texture.sampled(neural, _coordinates(case))[:, :, ROWS, COLUMNS]
    return [
        *agree("texture", neural, case.array("neural_texture"), case.tolerance),
        *agree("sampled", sampled, case.array("sampled_crop"), case.tolerance),
    ]


@torch.no_grad()
def _generator(case: Case) -> list[Check]:
    network = build(generator.Generator, tensors(case.weights()), generator.LAYOUT)
    neural = torch.from_numpy(case.array("tex_encoder:neural_texture"))
    outside = torch.from_numpy(case.array("uv_raster:background") > 0)
    picture = network(texture.sampled(neural, _coordinates(case)))
    crop = generator.masked(picture, outside)[:, :, ROWS, COLUMNS]
    return [
        *agree("picture", picture, case.array("output"), case.tolerance),
        *agree("masked picture", crop, case.array("masked_crop"), case.tolerance),
    ]


def _coordinates(case: Case) -> Tensor:
    return torch.from_numpy(case.array("uv_raster:uv_u8")[None, ..., :2]).float() / 255.0


PARTS: Mapping[str, Part] = {
    "style_code": _style_code,
    "audio2motion": _motion,
    "uv_raster": _raster,
    "tex_encoder": _texture,
    "face_unet": _generator,
}
