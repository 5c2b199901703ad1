"""How good a renderer is on frames that it did not learn from, beside things that need no learning.

The mouth is driven by its tracked position, so this is what the renderer can do at best; what
sound makes of it is measured elsewhere. Similarity alone can be had with blur and grain, and
sharpness alone with noise, so both stand here, with the next real frame as what to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.renderer.dataset import NONE, Augmentation, Examples
from visavis.finetune.report.octaves import Tally, bands
from visavis.finetune.texture import join
from visavis.models.renderer import Renderer, drawn

__all__ = ["Scores", "evaluate", "octaves", "score", "sheet", "table"]

F64 = NDArray[np.float64]

Scores = Mapping[str, float]
MARGIN = 10  # pixels around the lips that count as mouth


def luma(levels: NDArray[np.float32]) -> F64:
    """Return float64[N, S, S] of f32[N, 6, S/2, S/2], in levels of 255."""
    count, _, half, _ = levels.shape
    four = levels[:, :4].reshape(count, 2, 2, half, half).transpose(0, 3, 1, 4, 2)
    return four.reshape(count, 2 * half, 2 * half).astype(np.float64) * 128.0 + 128.0


def ssim(a: F64, b: F64) -> F64:
    """Return the map of structural similarity of two pictures (Z. Wang et al., TIP 2004)."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(x: F64) -> F64:
        return np.asarray(ndimage.gaussian_filter(x, 1.5, truncate=3.5), np.float64)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    top = (2 * ma * mb + c1) * (2 * cov + c2)
    return np.asarray(top / ((ma * ma + mb * mb + c1) * (va + vb + c2)), np.float64)


def score(
    made: F64, wanted: F64, hidden: NDArray[np.bool_], boxes: Sequence[tuple[slice, ...]]
) -> dict[str, float]:
    """Compare pictures.

    Args:
        made, wanted: float64[N, S, S], luma.
        hidden: bool[S, S], where the renderer's picture is used.
        boxes: N, of the mouths.

    Returns:
        psnr over the hidden part and psnr_mouth in dB; ssim_mouth; sharpness_mouth, the energy of
        the finest details over that of the real ones; coherence_mouth, their correlation.
    """
    square, mouth, alike, fine, real, both = 0.0, [], [], 0.0, 0.0, 0.0
    for a, b, box in zip(made, wanted, boxes, strict=True):
        square += float(((a - b)[hidden] ** 2).mean())
        mouth.append(float(((a - b)[box] ** 2).mean()))
        alike.append(float(ssim(a, b)[box].mean()))
        da, db = (x - ndimage.gaussian_filter(x, 1.0) for x in (a, b))
        fine += float((da[box] ** 2).sum())
        real += float((db[box] ** 2).sum())
        both += float((da[box] * db[box]).sum())
    return {
        "psnr": _decibels(square / len(made)),
        "psnr_mouth": _decibels(float(np.mean(mouth))),
        "ssim_mouth": float(np.mean(alike)),
        "sharpness_mouth": fine / real,
        "coherence_mouth": both / np.sqrt(fine * real),
    }


def _decibels(square: float) -> float:
    # Pictures of whole levels; below a thousandth they are the same.
    return float(10 * np.log10(255**2 / max(square, 1e-3)))


def evaluate(
    renderer: Renderer,
    examples: Examples,
    test: NDArray[np.int64],
) -> dict[str, Scores]:
    """Return scores of the renderer and of what it is compared with.

    Args:
        renderer: trained without `test`.
        examples: of the whole clip.
        test: frames to judge by.

    Returns:
        by name: "renderer"; "renderer, other surroundings", where what is visible around the mouth
        is another moment, as it is live; "drawn without a network", what it adds to; "next frame",
        the real frame that follows.
    """
    random = np.random.default_rng(0)
    planes, pictures = examples.batch(test, random, NONE)
    mixed, _ = examples.batch(test, random, Augmentation(1.0, 0.0, 0.0, 0))
    following, _ = np.minimum(test + 1, len(examples) - 1), None
    _, after = examples.batch(following, random, NONE)
    hidden_half = planes[0, 24] > 0
    hidden = hidden_half.repeat(2, axis=0).repeat(2, axis=1)
    wanted = luma(pictures)
    boxes = _mouths(planes)
    made = {
        "renderer": luma(_run(renderer, planes)),
        "renderer, other surroundings": luma(_run(renderer, mixed)),
        "drawn without a network": luma(drawn(torch.from_numpy(planes)).numpy()),
        "next frame": luma(after),
    }
    return {name: score(picture, wanted, hidden, boxes) for name, picture in made.items()}


def octaves(renderer: Renderer, examples: Examples, test: NDArray[np.int64]) -> F64:
    """Return the energy of each octave of the mouth over the real one's, float64[3].

    Args:
        renderer, examples, test: as of `evaluate`.
    """
    planes, pictures = examples.batch(test, np.random.default_rng(0), NONE)
    tally = Tally()
    made, wanted = luma(_run(renderer, planes)), luma(pictures)
    for one, other, box in zip(made, wanted, _mouths(planes), strict=True):
        region = np.zeros(one.shape, np.bool_)
        region[box] = True
        tally.add(bands(one.astype(np.float32)), bands(other.astype(np.float32)), region)
    share: F64 = tally.own / tally.other
    return share


def _mouths(planes: NDArray[np.float32]) -> list[tuple[slice, ...]]:
    """Return the boxes of the mouths, from the distance to the lips in f32[N, 38, S/2, S/2]."""
    boxes: list[tuple[slice, ...]] = []
    for row in planes:
        near = row[25:29].max(axis=0) > -0.999
        ys, xs = np.flatnonzero(near.any(axis=1)) * 2, np.flatnonzero(near.any(axis=0)) * 2
        boxes.append((slice(ys[0], ys[-1] + 2), slice(xs[0], xs[-1] + 2)))
    return boxes


def sheet(renderer: Renderer, examples: Examples, frames: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return crops side by side: the clip, the renderer, what it adds to.

    The renderer's row has other surroundings, as it is live, and is blended as the engine does.

    Args:
        renderer: trained.
        examples: of the whole clip.
        frames: one for each column.

    Returns:
        uint8[3 S * 3/2, S * columns], I420.
    """
    random = np.random.default_rng(0)
    planes, pictures = examples.batch(frames, random, NONE)
    mixed, _ = examples.batch(frames, random, Augmentation(1.0, 0.0, 0.0, 0))
    made = _run(renderer, mixed)
    share = examples.share
    rows = [pictures, pictures + share * (made - pictures), drawn(torch.from_numpy(planes)).numpy()]
    y = np.concatenate([np.concatenate(list(luma(row)), axis=1) for row in rows])
    u, v = (
        np.concatenate([np.concatenate(list(row[:, plane]), axis=1) for row in rows]) * 128.0
        + 128.0
        for plane in (4, 5)
    )
    return join(y, u, v)


def _run(renderer: Renderer, planes: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = []
    with torch.no_grad():
        for start in range(0, len(planes), 16):
            rows.append(renderer(torch.from_numpy(planes[start : start + 16])).numpy())
    levels = np.concatenate(rows) * 128.0 + 128.0
    return np.asarray((np.clip(np.rint(levels), 16, 240) - 128.0) / 128.0, np.float32)


def table(scores: Mapping[str, Scores]) -> str:
    """Return the scores as a table in Markdown."""
    columns = list(next(iter(scores.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{values[c]:.3f}" for c in columns) + " |")
    return "\n".join(lines)
