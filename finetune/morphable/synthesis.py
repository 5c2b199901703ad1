"""Analysis by synthesis of a few frames: the face is drawn, compared, and corrected.

All unknowns of the key frames move together down the gradient of one energy: tracked points, the
picture inside the tracked outline, priors (V. Blanz, T. Vetter, 1999; J. Thies et al., 2016).
Visibility is found anew at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.engines.raster import rasterize
from visavis.finetune.morphable.landmarks import Faces
from visavis.finetune.morphable.pictures import shrunk
from visavis.finetune.morphable.raster import Rasterizer, draw, interpolate
from visavis.finetune.morphable.surface import Poses
from visavis.models.face_model import FaceModel, harmonics, normals, rotation, shade

__all__ = ["Look", "Seen", "clip_space", "covered", "synthesise"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

# How much smaller the compared pictures are than the frames, and the steps at each size.
SIZES = ((4, 50), (2, 25))
DEVIATION = 12.0  # levels, of what the model cannot explain
# Neighbouring pixels err alike: so many of them say as much as one.
ALIKE = 40.0
RATE = 0.02  # of Adam, in deviations of coefficients
# The same step of the pose: radians, log scale, pixels in distances of the eyes; and of light.
TURN, GROW, MOVE, LIGHT = 0.05, 0.05, 0.05, 0.3


@dataclass(frozen=True, slots=True)
class Seen:
    """K key frames.

    Attributes:
        frames: uint8[K, H*3/2, W], I420.
        tracked: f64[K, P, 2], pixels.
        outline: int32[T, 3], triangles of the tracked points, with holes at eyes and mouth.
        triangle, barycentric: int64[P], f32[P, 3], where the points are on the model.
        weight: f64[P], of the points.
        deviation: of a tracked point, pixels.
    """

    frames: U8
    tracked: F64
    outline: I32
    triangle: I64
    barycentric: F32
    weight: F64
    deviation: float


@dataclass(frozen=True, slots=True)
class Look:
    """What the face looks like.

    Attributes:
        colours: f64[B], of albedo; light: f64[K, 9, 3], of every frame.
    """

    colours: F64
    light: F64


def clip_space(points: Tensor, width: int, height: int, reach: float) -> Tensor:
    """Return f32[..., V, 4] of points f32[..., V, 3] in pixels; z reaches so far to both sides."""
    scale = points.new_tensor([2.0 / width, 2.0 / height, 1.0 / reach])
    shift = points.new_tensor([1.0, 1.0, 0.0])
    return torch.nn.functional.pad(points * scale - shift, (0, 1), value=1.0)


def covered(points: F64, triangles: I32, height: int, width: int, by: int) -> NDArray[np.bool_]:
    """Return which pixels bool[h, w] of a picture `by` times smaller lie in triangles of points.

    Args:
        points: f64[P, 2], pixels of the frame, which is height x width.
    """
    flat = torch.from_numpy(np.pad(points, ((0, 0), (0, 1))) / by).float()
    clip = clip_space(flat, width // by, height // by, 1.0)
    inside: NDArray[np.bool_] = (
        rasterize(clip.numpy(), triangles, width // by, height // by)[0] >= 0
    )
    return inside


def synthesise(
    model: FaceModel,
    seen: Seen,
    faces: Faces,
    *,
    device: torch.device | str = "cpu",
    rasterizer: Rasterizer = draw,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> tuple[Faces, Look, float]:
    """Refine faces and find their look.

    Args:
        model: the model.
        seen: the frames.
        faces: laid onto the tracked points.
        device, rasterizer: what draws.
        sizes: see `SIZES`.

    Returns:
        faces, look, and the error of the picture: the median absolute difference in levels.
    """
    work = _Synthesis(model.to(device), seen, faces, device, rasterizer)
    for count, (by, steps) in enumerate(sizes):
        work.look_at(by)
        if not count:
            work.start_light()
        optimiser = torch.optim.Adam(work.groups(), lr=RATE, betas=(0.8, 0.95))
        for step in range(steps):
            # The last steps are small, so that it settles.
            for group, entry in zip(optimiser.param_groups, work.groups(), strict=True):
                group["lr"] = entry["lr"] * min(1.0, 2.0 * (1.0 - step / steps))
            optimiser.zero_grad()
            energy, _ = work.energy()
            energy.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        _, error = work.energy()
    return work.faces(), work.look(), error


class _Synthesis:
    """The unknowns as tensors, and their energy."""

    def __init__(
        self,
        model: FaceModel,
        seen: Seen,
        faces: Faces,
        device: torch.device | str,
        rasterizer: Rasterizer,
    ) -> None:
        self._model, self._seen, self._rasterizer = model, seen, rasterizer

        def tensor(array: NDArray[np.floating]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).float().to(device)

        self._tensor = tensor
        count = len(faces.expression)
        self._rotation, self._scale = tensor(faces.poses.rotation), tensor(faces.poses.scale)
        self._shift = tensor(faces.poses.shift)
        self._tracked, self._weight = tensor(seen.tracked), tensor(seen.weight)
        self._corners = model.triangles[torch.from_numpy(seen.triangle).to(device)]
        self._share = tensor(seen.barycentric)
        self.identity = tensor(faces.identity).requires_grad_()
        self.expression = tensor(faces.expression).requires_grad_()
        self.colours = torch.zeros(len(model.colours), device=device, requires_grad=True)
        self.turn = torch.zeros(count, 3, device=device, requires_grad=True)
        self.grow = torch.zeros(count, device=device, requires_grad=True)
        self.move = torch.zeros(count, 2, device=device, requires_grad=True)
        self.light = torch.zeros(count, 9, 3, device=device, requires_grad=True)
        eyes = faces.poses.scale.mean() * np.linalg.norm(
            np.subtract(*model.mean[model.landmarks[[36, 45]]].cpu().numpy())
        )
        self._eyes = float(eyes)

    def groups(self) -> list[dict[str, Any]]:
        """The unknowns for an optimiser, with the size of their steps."""
        coefficients = [self.identity, self.expression, self.colours]
        return [
            {"params": coefficients, "lr": RATE},
            {"params": [self.turn], "lr": RATE * TURN},
            {"params": [self.grow], "lr": RATE * GROW},
            {"params": [self.move], "lr": RATE * MOVE * self._eyes},
            {"params": [self.light], "lr": RATE * LIGHT},
        ]

    def look_at(self, by: int) -> None:
        """Take the pictures at another size."""
        seen = self._seen
        height, width = seen.frames.shape[1] * 2 // 3, seen.frames.shape[2]
        self._by, self._size = by, (height // by, width // by)
        self._pictures = self._tensor(np.stack([shrunk(frame, by) for frame in seen.frames]))
        masks = [covered(points, seen.outline, height, width, by) for points in seen.tracked]
        self._mask = torch.from_numpy(np.stack(masks)).to(self._pictures.device)

    def _posed(self) -> tuple[Tensor, Tensor]:
        """Vertices in pixels of the frame, and unit normals."""
        turned = rotation(self.turn) @ self._rotation
        shape = self._model.shape(self.identity, self.expression)
        scale = self._scale * torch.exp(self.grow)
        moved = scale[:, None, None] * (shape @ turned.transpose(1, 2))
        shift = torch.nn.functional.pad(self._shift + self.move, (0, 1))
        return moved + shift[:, None, :], normals(moved, self._model.triangles)

    def _drawn(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Vertices; picture, normals and albedo of pixels inside the outline; their frame."""
        points, facing = self._posed()
        height, width = self._size
        reach = 4.0 * self._eyes / self._by
        middle = points[..., 2:].mean(dim=1, keepdim=True).detach()
        centred = torch.cat([points[..., :2], points[..., 2:] - middle], dim=-1) / self._by
        clip = clip_space(centred, width, height, reach)
        fragments = self._rasterizer(clip, self._model.triangles, height, width)
        triangles = self._model.triangles
        inside = self._mask[fragments.picture, fragments.row, fragments.column]
        albedo = interpolate(self._model.albedo(self.colours), triangles, fragments)[inside]
        facing = interpolate(facing, triangles, fragments)[inside]
        frame = fragments.picture[inside]
        real = self._pictures[frame, fragments.row[inside], fragments.column[inside]]
        return points, real, torch.nn.functional.normalize(facing, dim=-1), albedo, frame

    def start_light(self) -> None:
        """Begin at the light that explains the pictures best, one for all frames."""
        with torch.no_grad():
            _, real, facing, albedo, _ = self._drawn()
            shares = harmonics(facing)
            for channel in range(3):
                design = shares * albedo[:, channel : channel + 1]
                # A weak prior: nobody is lit from behind alone.
                matrix = design.T @ design + 1e-3 * len(design) * 100.0**2 * torch.eye(
                    9, device=design.device
                )
                found = torch.linalg.solve(matrix, design.T @ real[:, channel])
                self.light[:, :, channel] = found

    def energy(self) -> tuple[Tensor, float]:
        """The energy, and the median absolute difference of the pictures in levels."""
        points, real, facing, albedo, frame = self._drawn()
        made = shade(albedo[:, None], facing[:, None], self.light[frame])[:, 0]
        error = (made - real) / DEVIATION
        difference = torch.sqrt(1.0 + error.square().sum(-1)) - 1.0  # robust, as Face2Face's
        picture = difference.sum() * (self._by * self._by / ALIKE)
        found = (points[:, self._corners] * self._share[:, :, None]).sum(dim=2)[..., :2]
        missed = torch.linalg.norm(found - self._tracked, dim=-1) / self._seen.deviation
        tracked = (self._weight * 2.0 * torch.log1p(missed.square() / 4.0)).sum()
        prior = sum(
            (values.square().sum() for values in (self.identity, self.expression, self.colours)),
            torch.zeros((), device=real.device),
        )
        same = (self.light - self.light.mean(dim=0)).square().sum() * 100.0
        energy = picture + tracked + 0.5 * prior + same
        return energy, float((made - real).detach().abs().median())

    def faces(self) -> Faces:
        """What was found."""
        with torch.no_grad():
            turned = rotation(self.turn) @ self._rotation
            scale = self._scale * torch.exp(self.grow)
            shift = self._shift + self.move

        def array(tensor: Tensor) -> F64:
            return tensor.detach().cpu().double().numpy()

        poses = Poses(array(turned), array(scale), array(shift))
        return Faces(array(self.identity), array(self.expression), poses)

    def look(self) -> Look:
        """What it looks like."""
        return Look(
            self.colours.detach().cpu().double().numpy(), self.light.detach().cpu().double().numpy()
        )
