"""Operation `planes@2`: the renderer's input, drawn from the posed mesh and the person's frame.

The crop is S x S pixels of the frame. Luma is pixel-unshuffled by 2, so that everything is at
S/2 x S/2, where U and V are at home; channel 2 i + j of four holds rows 2 r + i, columns 2 c + j.

    0-5    the person's closed-lips texture, warped by the mesh: Y (4), U, V
    6-11   upper teeth, fixed to the skull: Y (4), U, V
    12-17  lower teeth, moving with the jaw: Y (4), U, V
    18-23  the person's frame where it stays visible: Y (4), U, V
    24     1 where the frame is hidden and the renderer's picture is used
    25-28  distance to the inner contour of the lips (4), positive between the lips, -1 to 1
    29-30  where on the texture a pixel of the mesh lies, -1 to 1
    31     1 where the mesh is
    32-37  the face as the coefficients say it looks, between the lips, too: Y (4), U, V

The last is an appearance model (T. Cootes et al., "Active appearance models", PAMI 2001): a picture
that is linear in the coefficients, on the mesh with open lips, warped to where the mesh is.

Levels are (value - 128) / 128; whatever is not drawn is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.i420 import planes_of
from visavis.engines.raster_kernels import (
    draw_chroma,
    draw_luma,
    lip_distance,
    mask_crop,
    mix_texture,
)
from visavis.engines.walk import FrameChoice

__all__ = ["PLANES", "Planes"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I8 = NDArray[np.int8]

PLANES = 38


class Planes:
    """The stage. It holds no state of a session.

    Args:
        params: "lip_reach", pixels at which the distance to the lips ends.
        parts:
            triangles int32[T, 3], the farthest first;
            uv f32[V, 2], vertices in pixels of the texture or of their chart;
            texture uint8[H*3/2, W], I420; upper, lower the same, of the teeth;
            upper_triangles, lower_triangles int32[2, 3], where the charts are drawn;
            lips int32[L], the inner contour;
            mask uint8[S, S], share of the renderer's picture in 255ths;
            appearance_mean uint8[H*3/2, W], I420, the face at coefficients of 0;
            appearance_basis int8[C, H*3/2, W], what each coefficient adds;
            appearance_scale f32[C], levels of 1 in the basis;
            appearance_uv f32[V, 2], vertices in its pixels.

    Raises:
        PersonFileError: the parts do not fit together.
    """

    planes = PLANES

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self._reach = np.float32(params["lip_reach"])
        self._uv: F32 = np.ascontiguousarray(parts["uv"], np.float32)
        self._mask: U8 = parts["mask"]
        self._lips: I32 = parts["lips"]
        self._meshes: list[tuple[I32, tuple[U8, U8, U8]]] = []
        for triangles, picture in (
            ("triangles", "texture"),
            ("upper_triangles", "upper"),
            ("lower_triangles", "lower"),
        ):
            self._meshes.append((parts[triangles], planes_of(parts[picture])))
        self.size = len(self._mask)
        self._mean: U8 = np.ascontiguousarray(parts["appearance_mean"])
        self._basis: I8 = np.ascontiguousarray(parts["appearance_basis"])
        self._scale: F32 = np.ascontiguousarray(parts["appearance_scale"], np.float32)
        self._open_uv: F32 = np.ascontiguousarray(parts["appearance_uv"], np.float32)
        rows, width = self._mean.shape if self._mean.ndim == 2 else (0, 0)
        if not rows or rows % 3 or not width or width % 2:
            raise PersonFileError("The person's appearance is no I420 picture.")
        if self._basis.shape != (*self._scale.shape, rows, width):
            raise PersonFileError("The person's appearance does not fit its components.")
        if self._mean.dtype != np.uint8 or self._basis.dtype != np.int8:
            raise PersonFileError("The person's appearance must be of bytes.")
        if self._open_uv.shape != self._uv.shape:
            raise PersonFileError("The person's appearance and texture have other vertices.")
        named = np.concatenate([mesh.ravel() for mesh, _ in self._meshes] + [self._lips])
        if not 0 <= named.min() <= named.max() < len(self._uv):
            raise PersonFileError("The person's mesh names vertices that do not exist.")
        if self._mask.shape != (self.size, self.size) or self.size % 16:
            raise PersonFileError("The person's mask must be square, its side a multiple of 16.")
        if self._mask[[0, -1]].any() or self._mask[:, [0, -1]].any():
            raise PersonFileError("The person's mask must end inside its crop.")

    ahead = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """P, S/2, S/2."""
        return self.planes, self.size // 2, self.size // 2

    def initial_state(self) -> None:
        """Return nothing: a frame is drawn of its own coefficients alone."""
        return None

    def draw(
        self,
        vertices: F32,
        coefficients: F32,
        choices: Sequence[FrameChoice],
        pictures: Sequence[U8],
        out: F32,
        states: Sequence[None] = (),
    ) -> None:
        """Draw the planes of a batch.

        Args:
            vertices: f32[N, V, 3], pixels of the crop.
            coefficients: f32[N, C].
            choices: N, where each crop is.
            pictures: N of uint8[H*3/2, W], I420, before anything is pasted.
            out: f32[N, 38, S/2, S/2], overwritten.
            states: of `initial_state`; nothing is remembered.
        """
        if vertices.shape[1] != len(self._uv):
            raise PersonFileError("The person's mesh and its texture have other vertices.")
        if coefficients.shape[1:] != self._scale.shape:
            raise PersonFileError(
                f"The person's appearance has {len(self._scale)} components, not "
                f"{coefficients.shape[1]}."
            )
        looks = np.empty_like(self._mean)
        rows = zip(vertices, coefficients * self._scale, choices, pictures, out, strict=True)
        for points, weights, choice, picture, planes in rows:
            planes[:18] = 0.0
            planes[29:] = 0.0
            for index, (triangles, (y, u, v)) in enumerate(self._meshes):
                first = 6 * index
                draw_luma(points, self._uv, triangles, y, planes[first : first + 4])
                # Only the face itself says where on it a pixel lies.
                where = planes[29:32] if index == 0 else planes[:0]
                draw_chroma(points, self._uv, triangles, u, v, planes[first + 4 : first + 6], where)
            left, top = choice.origin
            mask_crop(picture, left, top, self._mask, planes[18:25])
            contour = cast(F32, np.ascontiguousarray(points[self._lips, :2]))
            lip_distance(contour, self._reach, planes[25:29])
            mix_texture(self._mean, self._basis, weights, looks)
            y, u, v = planes_of(looks)
            face = self._meshes[0][0]
            draw_luma(points, self._open_uv, face, y, planes[32:36])
            draw_chroma(points, self._open_uv, face, u, v, planes[36:38], planes[:0])
