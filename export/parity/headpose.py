"""How the cases of `headpose` are run here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.raster import RasterRule, rasterize
from visavis.export.parity.case import Case
from visavis.export.parity.check import Check, agree, exact, largest, share
from visavis.export.parity.face import face_model
from visavis.export.parity.runner import Part
from visavis.models.systems import mfcc
from visavis.models.systems.headpose import face, generator, memory, motion
from visavis.models.systems.state import build, tensors

__all__ = ["PARTS"]

TABLES = ("mem_key", "mem_value", "mem_age", "mem_index")
CROP = slice(96, 160)
RULE = RasterRule()
FULL_SCALE = 32768.0
STEP, HEARD = 4 * mfcc.HOP, 4720  # samples of a frame, and of its window


def _mfcc(case: Case) -> list[Check]:
    samples = case.array("pcm") / FULL_SCALE
    padded = np.pad(samples, mfcc.PADDING)
    found = mfcc.mfcc(padded)
    seen = mfcc.clip_windows(samples)
    checks = [
        *agree("coefficients", found, case.array("mfcc"), case.tolerance),
        *exact("frames", [len(seen)], [case.about["n_frames"]]),
        *agree("first windows", seen[:2], case.array("windows_first"), case.tolerance),
        *agree("last window", seen[-1:], case.array("windows_last"), case.tolerance),
    ]
    streamed = [mfcc.mfcc(padded[:HEARD])] + [
        mfcc.mfcc(padded[STEP * k : STEP * k + HEARD], padded[STEP * k - 1])
        for k in range(1, len(seen))
    ]
    streamed_windows = np.concatenate([mfcc.windows(one) for one in streamed])
    return checks + agree("streamed windows", streamed_windows, seen, case.tolerance)


@torch.no_grad()
def _motion(case: Case) -> list[Check]:
    network = build(motion.Motion, tensors(case.weights()), motion.LAYOUT)
    samples = case.array("mfcc:pcm") / FULL_SCALE
    seen = torch.from_numpy(mfcc.clip_windows(samples))[None]
    whole, _ = network(seen, motion.start())
    state, rows = motion.start(), []
    for k in range(seen.shape[1]):
        row, state = network(seen[:, k : k + 1], state)
        rows.append(row[0, 0])
    again = [
        network(seen[:, t - 15 : t + 1], motion.start())[0][0, -1]
        for t in case.array("reset16_frames")
    ]
    wanted = case.array("output")
    return [
        *agree("rows", whole[0], wanted, case.tolerance),
        *agree("rows, carried state", torch.stack(rows), wanted, case.tolerance),
        *agree("rows, 16 frames", torch.stack(again), case.array("output_reset16"), case.tolerance),
    ]


@torch.no_grad()
def _generator(case: Case) -> list[Check]:
    network = build(generator.Generator, tensors(case.weights()), generator.LAYOUT)
    frames = generator.normalised(torch.from_numpy(case.array("frames"))).flatten(0, 1)[None]
    feature = torch.from_numpy(case.array("feature"))
    checks = exact("style numbers", [sum(network.styled) * 2], [case.about["n_adain_parameters"]])
    for name in ("", ", folded"):
        if name:
            generator.fold(network, feature)
        colours, keep = network(frames, feature)
        picture = generator.composite(frames, colours, keep)[:, :, CROP, CROP]
        levels = ((picture + 1.0) / 2.0 * 255.0).to(torch.uint8)[0].permute(1, 2, 0)
        checks += [
            *agree(f"colours{name}", colours, case.array("color"), case.tolerance),
            *agree(f"shares{name}", keep, case.array("attention"), case.tolerance),
            *agree(f"picture{name}", picture, case.array("composite_crop"), case.tolerance),
            # Truncating turns the last bit of a float into a level.
            *largest(f"levels{name}", levels, case.array("composite_u8_crop"), 1),
        ]
    return checks


@torch.no_grad()
def _memory(case: Case) -> list[Check]:
    weights = tensors(case.weights())
    tables = memory.Memory(*(weights.pop(name) for name in TABLES))
    state = {key.removeprefix("mem_model."): value for key, value in weights.items()}
    network = build(memory.MemoryNetwork, state, memory.LAYOUT)
    query, feature = network(memory.normalised(torch.from_numpy(case.array("image")))[None])
    scores, rows = tables.nearest(query, 5)
    return [
        *agree("feature", feature, case.array("resnet_feature"), case.tolerance),
        *agree("query", query, case.array("query"), case.tolerance),
        *exact("rows", rows, case.array("top5_row")),
        *agree("cosines", scores[0], case.array("top5_score"), case.tolerance),
        *exact("identity", tables.feature(query), case.array("top1_feature")),
        *exact("frames", tables.frames[rows], case.array("top5_frame_index")),
    ]


def _geometry(case: Case) -> list[Check]:
    model = face_model(case)
    coefficients = torch.from_numpy(case.array("coeff"))[0].double()
    parts = face.split(coefficients)
    still = face.shape(model, parts.identity, parts.expression)
    found = face.posed(model, coefficients)
    points = face.pixels(found.vertices[model.landmarks])
    most = case.tolerance
    first = case.array("shape_first")
    return [
        *largest("shape", still[: len(first)], first, most["vertices_max_abs"]),
        *largest("vertices", found.vertices, case.array("vertices"), most["vertices_max_abs"]),
        *largest("normals", found.normals, case.array("normals"), most["normals_max_abs"]),
        *largest("colours", found.colours, case.array("colors"), most["colors_max_abs"]),
        *largest("landmarks", points, case.array("landmarks"), most["landmarks_max_abs"]),
    ]


def _raster(case: Case) -> list[Check]:
    most = case.tolerance
    matrix = torch.from_numpy(case.array("clip_matrix"))
    vertices = torch.from_numpy(case.array("geometry:vertices"))
    colours = case.array("geometry:colors")
    triangles = case.face_model()["triangles"].astype(np.int32)
    wanted_ids, wanted = case.array("triangle_id"), case.array("rgba_u8")
    clip = face.clip_space(vertices)
    checks = [
        *largest("camera", face.CAMERA, matrix, 1e-5),
        *largest("clip space", clip, case.array("clip"), 1e-5),
    ]
    for name, corners, bound in (
        ("", case.array("clip"), "triangle_id_mismatch_fraction_same_float32_order"),
        (", ours", clip.numpy(), "triangle_id_mismatch_fraction_otherwise"),
    ):
        ids, barycentric, z = rasterize(corners, triangles, face.SIZE, face.SIZE, RULE)
        same = (ids == wanted_ids) & (wanted_ids >= 0)
        off = np.abs(barycentric - case.array("barycentric"))[same]
        depth = np.abs(z - case.array("z"))[same]
        picture = face.drawn(ids, barycentric, triangles, colours)
        levels = _levels(picture)
        far = np.abs(levels.astype(int) - wanted).max(2) > 2
        checks += [
            *share(f"triangles{name}", ids != wanted_ids, most[bound]),
            Check(
                f"barycentrics{name}",
                "99 %",
                float(np.quantile(off, 0.99)),
                most["barycentric_p99_abs"],
            ),
            *largest(f"depth{name}", depth, 0.0 * depth, most["z_max_abs"]),
            *share(
                f"picture{name}",
                far[wanted[..., 3] > 0],
                most["rgba_u8_fraction_of_covered_pixels_off_by_more_than_2"],
            ),
        ]
    crop = picture[80:176, 64:160, :3]
    apart = np.abs(crop - np.clip(case.array("rgb_crop"), 0.0, 1.0)).max(2) > 2 / 255
    dx, dy = case.array("shift")
    shifted = face.shifted(wanted, dx, dy)
    return [
        *checks,
        *share("crop", apart, most["rgba_u8_fraction_of_covered_pixels_off_by_more_than_2"]),
        *exact("shifted", shifted, case.array("shifted_u8")),
        *largest(
            "laid over",
            face.laid_over(shifted, case.array("background")),
            case.array("blended_u8"),
            1,
        ),
    ]


def _levels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0), np.uint8)


PARTS: Mapping[str, Part] = {
    "mfcc": _mfcc,
    "atc_net": _motion,
    "generator": _generator,
    "memory": _memory,
    "geometry": _geometry,
    "raster": _raster,
}
