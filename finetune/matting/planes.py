"""Planes of pictures, and a filter that fills in what is not known of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["blocks", "doubled", "filled", "join", "spread", "split"]

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

SMALLEST = 4  # pixels of a side where the pyramid ends
SWEEPS = 40  # that smooth what the pyramid filled in


def split(i420: U8) -> tuple[U8, U8]:
    """Return luma uint8[H, W] and chroma uint8[2, H/2, W/2] of an I420 picture, as views."""
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    return i420[:height], i420[height:].reshape(2, height // 2, width // 2)


def join(luma: NDArray[np.generic], chroma: NDArray[np.generic]) -> U8:
    """Return the I420 picture of planes like those of `split`, rounded."""
    width = luma.shape[1]
    rows = np.concatenate([luma, chroma.reshape(-1, width)])
    return np.clip(np.rint(rows.astype(np.float32)), 0, 255).astype(np.uint8)


def spread(i420: U8) -> F32:
    """Return f32[3, H, W]: luma, and chroma at luma's size, bilinear between its samples."""
    luma, chroma = split(i420)
    height, width = luma.shape
    out = np.empty((3, height, width), np.float32)
    out[0] = luma
    for plane, small in zip(out[1:], chroma, strict=True):
        plane[:] = doubled(small.astype(np.float32))
    return out


def doubled(plane: F32) -> F32:
    """Return f32[2h, 2w]; a sample lies in the middle of its four (MPEG-1 siting of chroma)."""
    return _taller(_taller(plane).T).T


def _taller(plane: F32) -> F32:
    padded = np.concatenate([plane[:1], plane, plane[-1:]])
    out = np.empty((2 * len(plane), plane.shape[1]), np.float32)
    out[::2] = 0.25 * padded[:-2] + 0.75 * plane
    out[1::2] = 0.75 * plane + 0.25 * padded[2:]
    return out


def blocks(plane: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """Return a view [H/size, size, W/size, size], cut to whole blocks."""
    height, width = (length // size * size for length in plane.shape)
    return plane[:height, :width].reshape(height // size, size, width // size, size)


def filled(planes: F32, known: Bool) -> F32:
    """Return planes f32[C, H, W] with what is not known filled in from around it.

    A pyramid of means fills from coarse to fine ("push-pull", S. Gortler et al., "The lumigraph",
    SIGGRAPH 1996); a few sweeps of diffusion take its blocks away. What is known stays.
    """
    if known.all():
        return planes
    rough = _pulled(np.where(known, planes, 0.0).astype(np.float32), known.astype(np.float32))
    unknown = ~known
    for _ in range(SWEEPS):
        soft = ndimage.uniform_filter(rough, (0, 3, 3), mode="nearest")
        rough[:, unknown] = soft[:, unknown]
    return rough


def _pulled(planes: F32, weight: F32) -> F32:
    """Return planes where weight is 1, and what coarser pictures say where it is 0."""
    height, width = weight.shape
    if min(height, width) <= SMALLEST:
        total = max(float(weight.sum()), 1e-6)
        mean = (planes * weight).sum(axis=(1, 2), keepdims=True) / total
        return np.where(weight > 0.0, planes, mean).astype(np.float32)
    tall, wide = -(-height // 2) * 2, -(-width // 2) * 2
    pad = ((0, tall - height), (0, wide - width))
    w = np.pad(weight, pad)
    p = np.pad(planes * weight, ((0, 0), *pad))
    shape = (tall // 2, 2, wide // 2, 2)
    mass = w.reshape(shape).sum(axis=(1, 3))
    mean = p.reshape(-1, *shape).sum(axis=(2, 4)) / np.maximum(mass, 1e-6)
    coarse = _pulled(mean.astype(np.float32), (mass > 0.0).astype(np.float32))
    up = np.stack([doubled(plane) for plane in coarse])[:, :height, :width]
    return np.where(weight > 0.0, planes, up).astype(np.float32)
