"""Examples for the renderer: planes as the engine draws them, and the picture they stand for.

What stays visible around the mouth must not tell the network what the mouth does, because live it
belongs to another moment. So in part of the examples it is taken from a frame of similar pose whose
mouth does something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.geometry import LinearGeometry
from visavis.engines.i420 import planes_of
from visavis.engines.planes import PLANES, Planes
from visavis.engines.walk import FrameChoice
from visavis.finetune.geometry import Geometry
from visavis.finetune.parts import SIZE, PictureParts, crop_origins

__all__ = ["NONE", "Augmentation", "Examples", "calibration"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MARGIN = 8  # pixels around the crop, for moving it
FACE = np.array([(-0.4, 0.3, -0.2), (0.4, 0.3, -0.2), (0.0, 1.1, -0.2)])  # head space
OTHERS = 6  # frames of similar pose that are kept for each frame
NOISE_PER_THIRD_DIFFERENCE = 1 / np.sqrt(20.0)  # of white noise


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How examples differ from the clip.

    Attributes:
        other_surroundings: share of examples with the surroundings of another frame.
        coarse: share of examples whose coefficients are moved towards what opening, jaw and width
            alone say, which is how speech drives the mouth.
        noise: of the coefficients, in units of the tracker's own noise.
        shift: largest move of the crop in steps of 2 pixels.
    """

    other_surroundings: float = 0.5
    coarse: float = 0.3
    noise: float = 1.0
    shift: int = 3


NONE = Augmentation(0.0, 0.0, 0.0, 0)


class Examples:
    """Draws examples from a clip.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        geometry: fitted to them.
        parts: built from both.
        voice: f32[N, C], the coefficients that the clip's own sound asks for; None where that is
            not known.
        whole: geometry of the whole clip, where the frames are a choice of it.

    Attributes:
        origins: int[N, 2], left and top of each frame's crop.
        openness: float[N], 0 closed to 1 wide open.
        share: f32[6, S/2, S/2], how much of the renderer's picture is used, laid out like it.
    """

    def __init__(
        self,
        frames: U8,
        geometry: Geometry,
        parts: PictureParts,
        *,
        voice: F32 | None = None,
        whole: Geometry | None = None,
    ) -> None:
        self._geometry = geometry
        self._voice = voice
        self._stage = LinearGeometry({}, parts.geometry)
        self._planes = Planes(parts.raster_params, parts.raster)
        self.size = self._planes.size
        mask = np.asarray(parts.raster["mask"], np.float32) / 255.0
        four = [mask[i // 2 :: 2, i % 2 :: 2] for i in range(4)]
        mean = np.mean(four, axis=0)
        self.share: F32 = np.stack([*four, mean, mean])
        self.origins = crop_origins(geometry, parts)
        self._crops = np.stack([self._cut(frames[i], i, i) for i in range(len(frames))])
        self._others = self._find_others()
        self._around = {
            (i, j): self._cut(frames[j], i, j)
            for i, row in enumerate(self._others.tolist())
            for j in row
        }
        whole = geometry if whole is None else whole
        sigma = np.median(np.abs(np.diff(whole.coefficients, 3, axis=0)), axis=0) * 1.4826
        self._noise = sigma * NOISE_PER_THIRD_DIFFERENCE
        design = np.stack(
            [geometry.aperture, geometry.jaw, geometry.width, np.ones(len(frames))], axis=1
        )
        fit, *_ = np.linalg.lstsq(design, geometry.coefficients, rcond=None)
        self._coarse = (design @ fit).astype(np.float32)
        self.openness = np.clip(geometry.aperture / np.quantile(geometry.aperture, 0.9), 0.0, 1.0)

    def __len__(self) -> int:
        return len(self._crops)

    @property
    def voiced(self) -> bool:
        """Whether the voice can drive the mouth."""
        return self._voice is not None

    def batch(
        self,
        indices: NDArray[np.int64],
        random: np.random.Generator,
        how: Augmentation,
        *,
        voice: bool = False,
    ) -> tuple[F32, F32]:
        """Return planes and pictures of some frames.

        Args:
            indices: of the frames.
            random: what is left to chance.
            how: the examples differ from the clip.
            voice: let the voice drive the mouth; the pictures are then not of that mouth.

        Returns:
            f32[B, 38, S/2, S/2] and f32[B, 6, S/2, S/2] (Y unshuffled, U, V).
        """
        half = self.size // 2
        planes = np.zeros((len(indices), PLANES, half, half), np.float32)
        pictures = np.zeros((len(indices), 6, half, half), np.float32)
        choices, seen, coefficients = [], [], []
        for row, i in enumerate(indices.tolist()):
            step = random.integers(-how.shift, how.shift + 1, 2)
            corner = MARGIN + 2 * step
            around = self._crops[i]
            if random.random() < how.other_surroundings:
                around = self._around[i, int(random.choice(self._others[i]))]
            pictures[row] = self._levels(self._crops[i], corner)
            # The engine's own code cuts the visible part; here it cuts from a picture that is
            # the crop and its margin.
            pose = self._geometry.pose[i].copy()
            pose[:2, 3] -= self.origins[i] - MARGIN
            pose[:2, 3] += random.normal(0.0, 0.15 * how.noise * (self.size / SIZE), 2)
            choices.append(FrameChoice((i,), 0.0, pose, (int(corner[0]), int(corner[1]))))
            seen.append(around)
            own = self._geometry.coefficients[i]
            if voice:
                assert self._voice is not None
                own = self._voice[i]
            elif random.random() < how.coarse:
                own = own + random.random() * (self._coarse[i] - own)
            coefficients.append(own + how.noise * self._noise * random.normal(size=len(own)))
        asked = np.array(coefficients, np.float32)
        vertices = self._stage.vertices(asked, choices)
        self._planes.draw(vertices, asked, choices, seen, planes)
        return planes, pictures

    def _levels(self, picture: U8, corner: NDArray[np.int64]) -> F32:
        left, top = corner.tolist()
        half = self.size // 2
        y, u, v = planes_of(picture)
        luma = y[top : top + self.size, left : left + self.size]
        out = np.empty((6, half, half), np.float32)
        for i in range(4):
            out[i] = luma[i // 2 :: 2, i % 2 :: 2]
        for i, plane in ((4, u), (5, v)):
            out[i] = plane[top // 2 : top // 2 + half, left // 2 : left // 2 + half]
        return (out - 128.0) / 128.0

    def _find_others(self) -> NDArray[np.int64]:
        """Return int[N, OTHERS], for each frame the most similar poses with another mouth."""
        place = np.einsum("nij,pj->npi", self._geometry.pose[:, :2, :3], FACE)
        place = (place + self._geometry.pose[:, None, :2, 3]).reshape(len(self._crops), -1)
        distance = np.linalg.norm(place[:, None] - place[None], axis=2)
        opening = self._geometry.aperture
        alike = np.abs(opening[:, None] - opening[None]) < 0.25 * opening.std()
        distance[alike] += 1e3
        return np.argsort(distance, axis=1)[:, :OTHERS]

    def _cut(self, frame: U8, target: int, source: int) -> U8:
        """Return the crop and its margin of frame `source`, moved to the pose of `target`."""
        size = self.size + 2 * MARGIN
        corner = self.origins[target] - MARGIN
        matrix, shift = np.eye(2), np.zeros(2)
        if target != source:
            pose = self._geometry.pose[[target, source]].astype(np.float64)
            at, of = np.einsum("nij,pj->npi", pose[:, :2, :3], FACE) + pose[:, None, :2, 3]
            solved = np.linalg.solve(np.concatenate([at, np.ones((3, 1))], axis=1), of)
            matrix, shift = solved[:2].T, solved[2]
        planes = []
        for values, unit in zip(planes_of(frame), (1.0, 2.0, 2.0), strict=True):
            count = int(size / unit)
            x, y = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5)
            place = np.stack([x, y], axis=-1) * unit + corner
            place = (place @ matrix.T + shift) / unit - 0.5
            at = [place[..., 1], place[..., 0]]
            level = values.astype(np.float32)
            planes.append(ndimage.map_coordinates(level, at, order=1, mode="nearest"))
        parts = [np.rint(plane).astype(np.uint8).ravel() for plane in planes]
        return np.concatenate(parts).reshape(-1, size)


def calibration(examples: Examples, count: int = 64) -> list[F32]:
    """Return planes f32[38, S/2, S/2] of frames that stand for all.

    Live, the voice drives the mouth; so it does in half of them, where it is known.
    """
    each = count // 2 if examples.voiced else count
    rows = np.unique(np.linspace(0, len(examples) - 1, each).astype(np.int64))
    planes: list[F32] = []
    for voice in (False, True)[: 1 + examples.voiced]:
        planes += list(examples.batch(rows, np.random.default_rng(0), NONE, voice=voice)[0])
    return planes
