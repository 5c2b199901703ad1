"""How the cases of `audiodvp` are run here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.raster import RasterRule, rasterize
from visavis.export.parity.case import Case
from visavis.export.parity.check import Check, agree, exact, largest, share
from visavis.export.parity.face import face_model
from visavis.export.parity.runner import Part
from visavis.models.systems.audio_encoder import AudioEncoder
from visavis.models.systems.audiodvp import audio, composite, expression, face, renderer
from visavis.models.systems.mfcc import clip_windows
from visavis.models.systems.state import build, tensors

__all__ = ["PARTS"]

Array = NDArray[Any]

COEFFICIENTS = ("alpha", "delta", "beta", "gamma", "rotation", "translation")
RULE = RasterRule(inside_tolerance=1e-5, later_wins=True)
LEVELS_OFF = 2  # by which a pixel may be off before it counts
CROP = (slice(96, 192), slice(80, 176))  # of the picture whose colours are stored unrounded
START_CROP = (slice(None), slice(None), slice(96, 160), slice(96, 160))
MISSING_AT_START = 3  # frames
OPEN_MOUTH = -8.0  # of expression 0


@torch.no_grad()
def _audio_features(case: Case) -> list[Check]:
    seen = torch.from_numpy(clip_windows(case.array("headpose/mfcc:pcm") / 32768.0))
    network = build(AudioEncoder, tensors(case.weights()), audio.LAYOUT)
    features = network(seen)
    return agree("features", features, case.array("features"), case.tolerance)


@torch.no_grad()
def _audio2expression(case: Case) -> list[Check]:
    network = build(expression.AudioExpression, tensors(case.weights()))
    wanted = case.array("delta")
    features = case.array("audio_features:features")[: len(wanted)]
    seen = expression.windows(torch.from_numpy(features))
    layer = expression.folded(network)
    return [
        *agree("expressions", network(seen), wanted, case.tolerance),
        *agree("as one affine map", layer(seen.flatten(1)), wanted, case.tolerance),
    ]


@torch.no_grad()
def _neural_renderer(case: Case) -> list[Check]:
    network = build(renderer.NeuralRenderer, tensors(case.weights()), renderer.layout())
    frames = torch.from_numpy(case.array("frames")).permute(0, 3, 1, 2) / 127.5 - 1.0
    whole = network(frames.flatten(0, 1)[None])
    frames[:MISSING_AT_START] = 0.0
    start = network(frames.flatten(0, 1)[None])[START_CROP]
    return [
        *agree("picture", whole, case.array("output"), case.tolerance),
        *agree("at a clip's start", start, case.array("output_start_crop"), case.tolerance),
    ]


def _posed(case: Case, source: str = "", delta: Array | None = None) -> face.Face:
    """The face of the geometry case, or the same with another expression."""
    values = {name: case.array(source + name) for name in COEFFICIENTS}
    if delta is not None:
        values["delta"] = delta
    given = [torch.from_numpy(np.asarray(values[name], np.float32)) for name in COEFFICIENTS]
    return face.posed(face_model(case, torch.float32), *given)


@torch.no_grad()
def _geometry(case: Case) -> list[Check]:
    found = _posed(case)
    marks = torch.from_numpy(case.array("landmark_ids").astype(np.int64))
    points = face.pixels(face.clip_space(found.vertices[marks]))
    most = case.tolerance
    return [
        *largest(
            "vertices", found.vertices, case.array("world_vertices"), most["vertices_max_abs"]
        ),
        *largest("normals", found.normals, case.array("world_normals"), most["normals_max_abs"]),
        *largest("colours", found.colours, case.array("colors"), most["colors_max_abs"]),
        *largest("landmarks", points, case.array("landmarks"), most["landmarks_max_abs"]),
    ]


def _drawn(clip: Array, triangles: Array) -> tuple[Array, Array]:
    """Triangles and barycentric coordinates of the pixels."""
    ids, barycentric, _ = rasterize(clip, triangles.astype(np.int32), face.SIZE, face.SIZE, RULE)
    return ids, barycentric


def _coloured(ids: Array, barycentric: Array, triangles: Array, colours: Array) -> Array:
    """The picture f32[S, S, 3], 0 to 1, black where nothing is."""
    mixed = (colours[triangles[ids]] * barycentric[..., None]).sum(axis=2)
    return np.where(ids[..., None] >= 0, np.clip(mixed, 0.0, 1.0), 0.0)


def _off(picture: Array, wanted: Array) -> Array:
    """Which pixels bool[S, S] are off by more than they may be before they count."""
    levels = np.floor(np.clip(255.0 * picture + 0.5, 0.0, 255.0))
    return np.asarray(np.abs(levels - wanted).max(axis=-1) > LEVELS_OFF)


@torch.no_grad()
def _raster(case: Case) -> list[Check]:
    """Each of drawing's steps on what the one before it gave the original."""
    clip, wanted_ids = case.array("clip"), case.array("triangle_id")
    model = face_model(case, torch.float32)
    triangles, lower = model.triangles.numpy(), face.lower_triangles(model).numpy()
    colours = case.array("geometry:colors")
    vertices = torch.from_numpy(case.array("geometry:world_vertices"))
    ids, barycentric = _drawn(clip, triangles)
    picture = _coloured(ids, barycentric, triangles, colours)
    lower_ids, lower_shares = _drawn(clip, triangles[lower])
    lower_picture = _coloured(lower_ids, lower_shares, triangles[lower], colours)

    most = case.tolerance
    wrong_pixels = most["image_u8_fraction_of_covered_pixels_off_by_more_than_2"]
    wrong_ids = most["triangle_id_mismatch_fraction_otherwise"]
    same = (ids == wanted_ids) & (ids >= 0)
    crop = picture.transpose(2, 0, 1)[:, CROP[0], CROP[1]]
    off_crop = np.abs(crop - case.array("image_crop")).max(axis=0) * 255.0 > LEVELS_OFF
    # The case bounds no barycentric coordinates: those of the triangles that agree must, too.
    shares_off = np.abs(barycentric - case.array("barycentric")).max(axis=-1) > 1e-3
    covered, lower_covered = wanted_ids >= 0, case.array("lower_alpha")
    return [
        # The matrix is exact; what is left is the rounding of four products.
        *largest("clip space", face.clip_space(vertices), clip, 1e-5),
        *share("triangles", ids != wanted_ids, wrong_ids),
        *share("barycentric, 1e-3 off", shares_off[same], wrong_pixels),
        *share("picture", _off(picture, case.array("image_u8"))[covered], wrong_pixels),
        *share("picture, unrounded", off_crop[covered[CROP]], wrong_pixels),
        *exact("lower face, triangles", lower, case.array("mouth_triangle_mask")),
        *share("lower face, where", (lower_ids >= 0) != lower_covered, wrong_pixels),
        *share(
            "lower face",
            _off(lower_picture, case.array("lower_u8"))[lower_covered],
            wrong_pixels,
        ),
    ]


@torch.no_grad()
def _composite(case: Case) -> list[Check]:
    most = case.tolerance
    saved, eroded = case.array("mask_saved"), case.array("mask_eroded")
    raw, blurred = case.array("mask_raw"), case.array("mask_blurred")
    mixed = composite.blend(blurred, case.array("foreground"), case.array("background"))
    model = face_model(case, torch.float32)
    triangles = model.triangles.numpy()[face.lower_triangles(model).numpy()]
    shown = np.array(case.array("geometry:delta"))
    shown[0] = OPEN_MOUTH
    covered = []
    for delta in (shown, np.zeros_like(shown)):
        clip = face.clip_space(_posed(case, "geometry:", delta).vertices).numpy()
        covered.append(_drawn(clip, triangles)[0] >= 0)
    # Where a triangle ends is rounded, as in the raster case.
    edge = 0.003
    return [
        *share("where the mouth may be", (covered[0] | covered[1]) != (raw > 0), edge),
        *largest("grown", composite.dilated(raw, composite.GROWN), saved, most["mask_max"]),
        *largest("shrunk", composite.eroded(saved, composite.SHRUNK), eroded, most["mask_max"]),
        *largest("softened", composite.softened(saved), blurred, most["blur_max"]),
        *largest("composite", mixed, case.array("composite"), most["composite_max"]),
    ]


PARTS: Mapping[str, Part] = {
    "audio_features": _audio_features,
    "audio2expression": _audio2expression,
    "neural_renderer": _neural_renderer,
    "geometry": _geometry,
    "raster": _raster,
    "composite": _composite,
}
