"""A person's geometry from the tracked mesh: head space, pose of every frame, mouth components.

Head space is the mean mesh without its pose: origin between the outer eye corners, unit their
distance (IOD), x right in the picture, y down, z away from the camera. The components are principal
components of what the lower face does there (M. Turk and A. Pentland, "Eigenfaces for recognition",
1991, applied to shape), so they need no face model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from visavis.finetune.mesh import loops
from visavis.finetune.track import Track

__all__ = [
    "Geometry",
    "assemble",
    "fit_geometry",
    "head_frame",
    "in_head_space",
    "lower_face",
    "measured",
    "mouth_weight",
    "poses_on",
    "similarity",
    "smooth_pieces",
    "smooth_poses",
]

# Vertices of MediaPipe's mesh.
TRACKED = 468
EYE_RIGHT, EYE_LEFT = 33, 263  # outer corners
LIP_UPPER, LIP_LOWER = 13, 14  # middle of the inner contour
MOUTH_RIGHT, MOUTH_LEFT = 61, 291
CHIN = (152, 148, 377, 176, 400)
# Forehead, bridge of the nose, eye corners, temples: what speech does not move.
STABLE = (
    10, 67, 109, 338, 297, 151, 9, 8, 168, 6, 197, 195, 33, 133, 362, 263,
    103, 54, 21, 162, 127, 332, 284, 251, 389, 356, 71, 301,
)  # fmt: skip
COMPONENTS = 12
# y in head space where the lower face begins to move, and where it moves fully.
STILL, MOVING = 0.25, 0.55
LIP_WEIGHT = 3.0
# Rings of vertices around the jaw, which carry the texture of the neck and of what is beside the
# face: how far out in IOD, and how much of the jaw's motion they follow.
RINGS = ((0.07, 0.8), (0.18, 0.4), (0.62, 0.0))
PER_FRAME = ("coefficients", "pose", "aperture", "jaw", "width")


@dataclass(frozen=True, slots=True)
class Geometry:
    """A person's shape and its motion through the clip.

    Attributes:
        mean: float32[V, 3], head space; the tracker's vertices first, then those of the rings.
        basis: float32[C, V, 3], of orthogonal components, the largest first.
        coefficients: float32[N, C].
        pose: float32[N, 3, 4], head space to pixels of the frame (weak perspective).
        triangles: int32[T, 3].
        lips: int32[20], the inner lip contour, in order.
        aperture, jaw, width: float32[N], measured on the mesh of every frame: gap between the lips;
            how far the chin is below where it is at rest; distance of the mouth's corners. In IOD.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    pose: NDArray[np.float32]
    triangles: NDArray[np.int32]
    lips: NDArray[np.int32]
    aperture: NDArray[np.float32]
    jaw: NDArray[np.float32]
    width: NDArray[np.float32]

    def of(self, frames: NDArray[np.int64] | slice) -> Geometry:
        """Return the geometry of some of the frames."""
        return replace(self, **{name: getattr(self, name)[frames] for name in PER_FRAME})


def similarity(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return s, R, t that minimise |s R source + t - target| (S. Umeyama, PAMI 1991).

    Args:
        source, target: float64[P, 3].
    """
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, values, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((values * sign).sum() / (a * a).sum())
    return scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0)


def head_frame(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `shape` float64[V, 3] with the eye corners at (-1/2, 0, 0) and (1/2, 0, 0)."""
    right, left = shape[EYE_RIGHT], shape[EYE_LEFT]
    x = (left - right) / np.linalg.norm(left - right)
    down = shape[CHIN[0]] - (left + right) / 2
    y = down - (down @ x) * x
    # The face looks into the camera: keep the tracked depth axis, take off roll and turn only.
    y = np.array([y[0], y[1], 0.0])
    y -= (y @ x) * x
    y /= np.linalg.norm(y)
    axes = np.stack([x, y, np.cross(x, y)])
    moved: NDArray[np.float64] = (shape - (left + right) / 2) @ axes.T
    return moved / np.linalg.norm(left - right)


def in_head_space(
    landmarks: NDArray[np.float64],
    scale: NDArray[np.float64],
    rotation: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the landmarks float64[N, V, 3] in head space."""
    turned: NDArray[np.float64] = np.einsum("nji,nvj->nvi", rotation, landmarks - shift[:, None])
    return turned / scale[:, None, None]


def poses_on(
    mean: NDArray[np.float64], landmarks: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return per frame scale [N], rotation [N, 3, 3] and translation [N, 3] from head space.

    Args:
        mean: float64[V, 3], head space; landmarks: float64[N, V, 3].
    """
    stable = list(STABLE)
    fits = [similarity(mean[stable], points[stable]) for points in landmarks]
    scale = np.array([fit[0] for fit in fits])
    return scale, np.stack([fit[1] for fit in fits]), np.stack([fit[2] for fit in fits])


def _poses(
    landmarks: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean shape and per frame scale, rotation and translation (generalised Procrustes).

    The mean and the poses are refined in turn; both settle within a few rounds.
    """
    mean = head_frame(landmarks[len(landmarks) // 2])
    for _ in range(5):
        scale, rotation, shift = poses_on(mean, landmarks)
        still = in_head_space(landmarks, scale, rotation, shift)
        mean = head_frame(np.median(still, axis=0))
    return mean, scale, rotation, shift


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `values` float64[N, ...] without the tracker's jitter and without delay."""
    if len(values) < 7:
        return values
    smooth: NDArray[np.float64] = savgol_filter(values, 7, 2, axis=0, mode="interp")
    return smooth


def smooth_poses(
    scale: NDArray[np.float64], rotation: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return float64[N, 3, 4] of what `poses_on` gives, for frames that follow each other."""
    angles = Rotation.from_matrix(rotation).as_rotvec()
    turned = Rotation.from_rotvec(_smooth(angles)).as_matrix()
    return np.concatenate(
        [turned * _smooth(scale)[:, None, None], _smooth(shift)[:, :, None]], axis=2
    )


def mouth_weight(
    mean: NDArray[np.float64], inner: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each vertex follows the mouth, and how much it counts; float64[V] each.

    Args:
        mean: float64[V, 3], head space; inner: the vertices of the inner lip contour.
    """
    moves = np.clip((mean[:, 1] - STILL) / (MOVING - STILL), 0.0, 1.0)
    moves = moves * moves * (3 - 2 * moves)
    return moves, moves * np.where(np.isin(np.arange(len(mean)), inner), LIP_WEIGHT, 1.0)


def _ring_vertices(
    mean: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
    """Return positions, the jaw vertex each follows, how much, and triangles of the rings."""
    oval = max(loops(triangles), key=len)
    turned = np.roll(oval, -int(np.argmin(mean[oval, 1])))  # begins at the forehead
    jaw = turned[mean[turned, 1] > 0.0]
    outward = mean[jaw, :2] - (0.0, 0.55)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    rings, parents, follow = [], [], []
    for distance, share in RINGS:
        ring = mean[jaw].copy()
        ring[:, :2] += distance * outward
        rings.append(ring)
        parents.append(jaw)
        follow.append(np.full(len(jaw), share))
    first = len(mean) + len(jaw) * np.arange(len(RINGS))
    rows = [jaw, *(start + np.arange(len(jaw)) for start in first)]
    strips = []
    for inner, outer in zip(rows, rows[1:], strict=False):
        for i in range(len(jaw) - 1):
            strips += [
                (inner[i], inner[i + 1], outer[i]),
                (inner[i + 1], outer[i + 1], outer[i]),
            ]
    return (
        np.concatenate(rings),
        np.concatenate(parents).astype(np.int64),
        np.concatenate(follow),
        np.array(strips, np.int32),
    )


def fit_geometry(
    track: Track, *, components: int = COMPONENTS, cuts: Sequence[int] = ()
) -> Geometry:
    """Fit shape, poses and mouth components to a tracked clip.

    Only the pose is smoothed over time; the mouth keeps every frame's own position.

    Args:
        track: of the clip.
        components: C.
        cuts: frames with which something new begins; nothing is smoothed across them.
    """
    landmarks = track.landmarks.astype(np.float64)
    mean, scale, rotation, shift = _poses(landmarks)
    still = in_head_space(landmarks, scale, rotation, shift)
    pose = smooth_pieces(scale, rotation, shift, cuts)
    return assemble(mean, still, pose, track.triangles, components=components)


def smooth_pieces(
    scale: NDArray[np.float64],
    rotation: NDArray[np.float64],
    shift: NDArray[np.float64],
    cuts: Sequence[int],
) -> NDArray[np.float64]:
    """Return what `smooth_poses` does, for each piece between cuts on its own."""
    edges = [0, *sorted(cuts), len(scale)]
    return np.concatenate(
        [
            smooth_poses(scale[a:b], rotation[a:b], shift[a:b])
            for a, b in zip(edges, edges[1:], strict=False)
        ]
    )


def assemble(
    mean: NDArray[np.float64],
    still: NDArray[np.float64],
    pose: NDArray[np.float64],
    triangles: NDArray[np.int32],
    *,
    components: int = COMPONENTS,
) -> Geometry:
    """Make components and rings of a mesh whose pose is known in every frame.

    Args:
        mean: float64[V, 3], head space; still: float64[N, V, 3], every frame without its pose.
        pose: float64[N, 3, 4], head space to pixels.
        triangles: int32[T, 3], of the tracker's vertices.
        components: C.
    """
    inner = next(loop for loop in loops(triangles) if LIP_UPPER in loop)
    moves, weight = mouth_weight(mean, np.array(inner))
    offsets = still - mean
    weighted = (offsets * weight[None, :, None]).reshape(len(offsets), -1)
    middle = weighted.mean(axis=0)
    _, _, axes = np.linalg.svd(weighted - middle, full_matrices=False)
    axes = axes[:components]
    # A component's sign is arbitrary; one direction decides it, so that it is always the same.
    direction = np.random.default_rng(0).normal(size=axes.shape[1])
    axes *= np.where(axes @ direction < 0.0, -1.0, 1.0)[:, None]
    # Scores of unit variance: the same numbers then mean as much for every component and person.
    scores = (weighted - middle) @ axes.T
    spread = scores.std(axis=0)
    coefficients = scores / spread
    design = np.concatenate([coefficients, np.ones((len(coefficients), 1))], axis=1)
    fitted, *_ = np.linalg.lstsq(design, offsets.reshape(len(offsets), -1), rcond=None)
    basis = fitted[:-1].reshape(-1, len(mean), 3) * moves[None, :, None]
    centre = mean + fitted[-1].reshape(len(mean), 3)

    ring, parents, follow, strips = _ring_vertices(centre, triangles)
    jaw = still[:, list(CHIN), 1].mean(axis=1)
    gap = np.linalg.norm(still[:, LIP_UPPER, :2] - still[:, LIP_LOWER, :2], axis=1)
    rest = np.median(jaw[gap <= np.quantile(gap, 0.2)])
    return Geometry(
        mean=np.concatenate([centre, ring]).astype(np.float32),
        basis=np.concatenate([basis, basis[:, parents] * follow[None, :, None]], axis=1).astype(
            np.float32
        ),
        coefficients=coefficients.astype(np.float32),
        pose=pose.astype(np.float32),
        triangles=np.concatenate([triangles, strips]).astype(np.int32),
        lips=np.array(inner, np.int32),
        aperture=gap.astype(np.float32),
        jaw=(jaw - rest).astype(np.float32),
        width=np.linalg.norm(still[:, MOUTH_RIGHT, :2] - still[:, MOUTH_LEFT, :2], axis=1).astype(
            np.float32
        ),
    )


def lower_face(geometry: Geometry) -> NDArray[np.float64]:
    """Return how far each vertex follows the mouth, float64[V]; the rings less, as they do."""
    moves, _ = mouth_weight(geometry.mean.astype(np.float64), geometry.lips)
    outer = (len(moves) - TRACKED) // len(RINGS)
    moves[TRACKED:] *= np.repeat([share for _, share in RINGS], outer)
    return moves


def measured(geometry: Geometry) -> Geometry:
    """Return the geometry with the mouth measured on the mesh that its coefficients give."""
    at = [LIP_UPPER, LIP_LOWER, MOUTH_RIGHT, MOUTH_LEFT, *CHIN]
    moved = np.tensordot(geometry.coefficients, geometry.basis[:, at], 1) + geometry.mean[at]
    gap = np.linalg.norm(moved[:, 0, :2] - moved[:, 1, :2], axis=1)
    jaw = moved[:, 4:, 1].mean(axis=1)
    rest = np.median(jaw[gap <= np.quantile(gap, 0.2)])
    return replace(
        geometry,
        aperture=gap.astype(np.float32),
        jaw=(jaw - rest).astype(np.float32),
        width=np.linalg.norm(moved[:, 2, :2] - moved[:, 3, :2], axis=1).astype(np.float32),
    )
