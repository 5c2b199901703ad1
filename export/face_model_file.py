"""Reads the files of morphable models that users have under a licence of their own.

Three layouts are known, all of the Basel Face Model 2009 (P. Paysan et al., "A 3D face model for
pose and illumination invariant face recognition", 2009) with the expressions of Y. Guo et al.,
"CNN-based real-time dense face reconstruction", 2018:

`BFM_model_front.mat`, as Y. Deng et al. (2019) derive it: meanshape [1, 3V], idBase [3V, I],
exBase [3V, E], meantex [1, 3V], texBase [3V, B], tri [T, 3] and keypoints [68], both from 1; the
bases times their deviations already.

`data.mat`, as X. Wen et al. ("Photorealistic audio-driven video portraits", 2020) derive it: the
same as geo_mean [3V, 1], id_base, exp_base, tex_mean [3V, 1], tex_base, triangles and key_points,
both from 0; in a unit of its own, colours 0 to 1. It is given in the unit of the former.

`01_MorphableModel.mat`, as Basel gives it: shapeMU, texMU [3V, 1], shapePC, texPC [3V, K], shapeEV,
texEV [K, 1], with V = 53490; and a folder with what that derivation takes: `Exp_Pca.bin` (int32 D,
then f32 of a mean [3V'] and of D components [3V']), `std_exp.txt` (deviations), and the index files
`BFM_front_idx.mat` (idx), `BFM_exp_idx.mat` (trimIndex), `facemodel_info.mat` (tri, keypoints).

Nothing is unpickled. The headers of a .mat are read first, and only named arrays of plain numbers
whose sizes are those of a face model are then read at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError
from visavis.export.file_hash import sha256_of
from visavis.export.mat_file import Header, MatError, load, scan
from visavis.models.face_model import FaceModel

__all__ = ["MICROMETRES", "PORTRAIT_MICROMETRES", "FaceModelFile", "read_face_model"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

IDENTITIES, EXPRESSIONS, COLOURS = 80, 64, 80  # components that are used, as Deng et al. do
FEWEST_VERTICES, MOST_VERTICES, MOST_TRIANGLES, MOST_COMPONENTS = 100, 200_000, 400_000, 400
LARGEST_FILE = 2 << 30
DERIVED = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints")
# As `DERIVED`, in that order.
PORTRAITS = ("geo_mean", "id_base", "exp_base", "tex_mean", "tex_base", "triangles", "key_points")
BASEL = ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV")
INDEX_FILES = ("facemodel_info.mat", "BFM_front_idx.mat", "BFM_exp_idx.mat")
EXPRESSION_FILES = ("Exp_Pca.bin", "std_exp.txt")
MICROMETRES = 1e5  # of Basel's files in the unit of the derived one, a decimetre
PORTRAIT_MICROMETRES = 92156.7  # in the unit of data.mat
LEVELS = 255.0
HIGHEST = 1e15  # of any number, whatever its unit
MOST_TEXT = 1 << 20


@dataclass(frozen=True, slots=True)
class FaceModelFile:
    """A model and where it is from.

    Attributes:
        model: the arrays.
        kind: which of the layouts.
        sha256: of every file that was read, by its name.
    """

    model: FaceModel
    kind: str
    sha256: Mapping[str, str]


def read_face_model(path: Path, expressions: Path | None = None) -> FaceModelFile:
    """Read a model.

    Args:
        path: `BFM_model_front.mat`, `data.mat` or `01_MorphableModel.mat`, whatever they are
            called.
        expressions: the folder that the last of them needs.

    Raises:
        ConfigError: it is none of these, or not whole; one sentence says why.
    """
    there = _header(path)
    for names in (DERIVED, PORTRAITS):
        if set(names) <= there.keys():
            if expressions is not None:
                raise ConfigError(f"{path} has its expressions; leave --expression-model out.")
            model = _derived(path, there, names)
            return FaceModelFile(model, "BFM 2009 front with expressions", _hashes([path]))
    if set(BASEL) <= there.keys():
        if expressions is None:
            raise ConfigError(
                f"{path} has no expressions; name the folder of Exp_Pca.bin, std_exp.txt and the "
                "index files with --expression-model."
            )
        model = _basel(path, there, expressions)
        used = [path, *(expressions / name for name in (*INDEX_FILES, *EXPRESSION_FILES))]
        return FaceModelFile(model, "BFM 2009 and Exp_Pca", _hashes(used))
    lacking = min(
        (sorted(set(names) - there.keys()) for names in (DERIVED, PORTRAITS, BASEL)),
        key=lambda names: len(names),
    )
    raise ConfigError(f"{path} is no face model that we know: it lacks {', '.join(lacking)}.")


def _hashes(paths: list[Path]) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in paths}


def _header(path: Path) -> dict[str, Header]:
    """Return what arrays a .mat file has."""
    try:
        return scan(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"{path} cannot be read: {reason}.") from error
    except MatError as error:
        raise ConfigError(f"{path} is no face model: {error}.") from error


def _load(path: Path, there: Mapping[str, Header], names: tuple[str, ...]) -> dict[str, Any]:
    """Return arrays of numbers, all of them finite, whose sizes were found bearable."""
    limit = 3 * MOST_VERTICES * MOST_COMPONENTS
    arrays: dict[str, Any] = {}
    for name in names:
        if name not in there:
            raise ConfigError(f"{path} lacks {name}.")
        header = there[name]
        if header.kind != "numbers":
            raise ConfigError(f"{path}: {name} holds {header.kind}, and not numbers.")
        if len(header.shape) != 2 or not 0 < math.prod(header.shape) <= limit:
            raise ConfigError(f"{path}: {name} has the wrong shape {header.shape}.")
        try:
            arrays[name] = load(path, header)
        except (OSError, MatError) as error:
            raise ConfigError(f"{path}: {name} cannot be read: {error}.") from error
        if not -HIGHEST < arrays[name].min() <= arrays[name].max() < HIGHEST:  # nor NaN
            raise ConfigError(f"{path}: {name} has numbers that are too large or not finite.")
    return arrays


def _vector(path: Path, arrays: Mapping[str, Any], name: str, count: int | None = None) -> Any:
    array = arrays[name]
    if 1 not in array.shape or (count is not None and array.size != count):
        raise ConfigError(f"{path}: {name} has the wrong shape {array.shape}.")
    return array.reshape(-1)


def _vertices(path: Path, values: NDArray[Any], name: str) -> int:
    count, rest = divmod(values.size, 3)
    if rest or not FEWEST_VERTICES <= count <= MOST_VERTICES:
        raise ConfigError(f"{path}: {name} is of {values.size / 3:g} vertices.")
    return count


def _basis(path: Path, arrays: Mapping[str, Any], name: str, vertices: int, most: int) -> F32:
    """Return f32[K, V, 3] of an array [3V, K]."""
    array = arrays[name]
    if array.shape[0] != 3 * vertices or array.shape[1] > MOST_COMPONENTS:
        raise ConfigError(f"{path}: {name} has the wrong shape {array.shape}.")
    kept = np.asarray(array[:, :most], np.float32)
    return np.ascontiguousarray(kept.T).reshape(-1, vertices, 3)


def _indices(path: Path, values: NDArray[Any], name: str, count: int, first: int = 1) -> I64:
    """Return indices from 0 of those from `first`."""
    whole = values.astype(np.float64)
    if (whole != np.rint(whole)).any() or whole.min() < first or whole.max() >= count + first:
        raise ConfigError(f"{path}: {name} names vertices that do not exist.")
    return whole.astype(np.int64) - first


def _mesh(
    path: Path,
    arrays: Mapping[str, Any],
    vertices: int,
    names: tuple[str, ...] = DERIVED[-2:],
    first: int = 1,
) -> tuple[I64, I64]:
    """Return triangles and landmarks."""
    faces, marks = names
    triangles = arrays[faces]
    if triangles.shape[1] != 3 or len(triangles) > MOST_TRIANGLES:
        raise ConfigError(f"{path}: {faces} has the wrong shape {triangles.shape}.")
    points = _vector(path, arrays, marks, 68)
    return (
        _indices(path, triangles, faces, vertices, first),
        _indices(path, points, marks, vertices, first),
    )


def _derived(path: Path, there: Mapping[str, Header], names: tuple[str, ...]) -> FaceModel:
    arrays = _load(path, there, names)
    shape, identities, expressions, colour, colours, *mesh = names
    mean = _vector(path, arrays, shape)
    vertices = _vertices(path, mean, shape)
    portraits = names == PORTRAITS
    triangles, landmarks = _mesh(path, arrays, vertices, tuple(mesh), 0 if portraits else 1)
    unit = np.float32(PORTRAIT_MICROMETRES / MICROMETRES if portraits else 1.0)
    levels = np.float32(LEVELS if portraits else 1.0)
    return _model(
        path,
        mean.reshape(vertices, 3) * unit,
        _basis(path, arrays, identities, vertices, IDENTITIES) * unit,
        _basis(path, arrays, expressions, vertices, EXPRESSIONS) * unit,
        _vector(path, arrays, colour, 3 * vertices).reshape(vertices, 3) * levels,
        _basis(path, arrays, colours, vertices, COLOURS) * levels,
        triangles,
        landmarks,
    )


def _basel(path: Path, there: Mapping[str, Header], folder: Path) -> FaceModel:
    """Cut, scale and join as Deng et al. do."""
    info, front, trim = (folder / name for name in INDEX_FILES)
    # The small files first: whatever is wrong with them is said before a minute of reading.
    moved, moved_vertices = _expressions(folder)
    chosen = _load(front, _header(front), ("idx",))
    to_moved = _indices(front, _vector(front, chosen, "idx"), "idx", moved_vertices)
    trimmed = _load(trim, _header(trim), ("trimIndex",))
    arrays = _load(path, there, BASEL)
    mean = _vector(path, arrays, "shapeMU")
    vertices = _vertices(path, mean, "shapeMU")
    whole = _vector(trim, trimmed, "trimIndex", moved_vertices)
    to_whole = _indices(trim, whole, "trimIndex", vertices)[to_moved]
    triangles, landmarks = _mesh(
        info, _load(info, _header(info), ("tri", "keypoints")), len(to_whole)
    )

    def basis(components: str, deviations: str, most: int) -> F32:
        values = _basis(path, arrays, components, vertices, most)
        scale = _vector(path, arrays, deviations, arrays[components].shape[1])[:most]
        return values[:, to_whole] * np.asarray(scale, np.float32)[:, None, None]

    return _model(
        path,
        mean.reshape(vertices, 3)[to_whole] / MICROMETRES,
        basis("shapePC", "shapeEV", IDENTITIES) / np.float32(MICROMETRES),
        moved[:, to_moved] / np.float32(MICROMETRES),
        _vector(path, arrays, "texMU", 3 * vertices).reshape(vertices, 3)[to_whole],
        basis("texPC", "texEV", COLOURS),
        triangles,
        landmarks,
    )


def _expressions(folder: Path) -> tuple[F32, int]:
    """Return components times deviations, f32[E, V', 3], and V'."""
    path, text = (folder / name for name in EXPRESSION_FILES)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ConfigError(f"{path} has {size >> 20} MiB, more than expressions have.")
        with path.open("rb") as file:
            head = np.fromfile(file, "<i4", 1)
            count = int(head[0]) if len(head) else 0
            vertices, rest = divmod(size - 4, 12 * (count + 1)) if count > 0 else (0, 1)
            if rest or count > MOST_COMPONENTS or not FEWEST_VERTICES <= vertices <= MOST_VERTICES:
                raise ConfigError(f"{path} is not of expressions, or is cut off.")
            file.seek(4 + 12 * vertices)  # over the mean, which is the neutral face's
            kept = min(count, EXPRESSIONS)
            values = np.fromfile(file, "<f4", 3 * vertices * kept)
        if text.stat().st_size > MOST_TEXT:
            raise ConfigError(f"{text} is no list of deviations.")
        deviations = np.array(text.read_text("ascii").split(), np.float32)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{folder} holds no expression model: {reason.lower()}.") from error
    if len(values) != 3 * vertices * kept or not (np.abs(values) < HIGHEST).all():
        raise ConfigError(f"{path} is cut off, or has numbers that are too large or not finite.")
    if len(deviations) != count or not (np.abs(deviations) < HIGHEST).all():
        raise ConfigError(f"{text} has {len(deviations)} deviations for {count} components.")
    scaled = values.reshape(kept, vertices, 3) * deviations[:kept, None, None]
    return scaled.astype(np.float32), vertices


def _model(
    path: Path,
    mean: NDArray[Any],
    identity: F32,
    expression: F32,
    colour: NDArray[Any],
    colours: F32,
    triangles: I64,
    landmarks: I64,
) -> FaceModel:
    """Turn to our axes, where y is down and z away from the camera."""
    turn = np.array([1.0, -1.0, -1.0], np.float32)
    mean = np.asarray(mean, np.float32) * turn
    a, b, c = mean[triangles].transpose(1, 0, 2)
    outward = np.cross(b - a, c - a)[np.isin(triangles, landmarks).any(axis=1)]
    if outward[:, 2].sum() > 0.0:  # the other way round: away from the camera
        triangles = triangles[:, ::-1]
    eyes, chin = mean[landmarks[[36, 45]]], mean[landmarks[8]]
    width = eyes[1, 0] - eyes[0, 0]
    if not (width > 0.0 and 0.5 * width < chin[1] - eyes[:, 1].mean() < 3.0 * width):
        raise ConfigError(f"{path}: the landmarks are not those of an upright face.")

    def tensor(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))

    return FaceModel(
        mean=tensor(mean),
        identity=tensor(identity * turn),
        expression=tensor(expression * turn),
        colour=tensor(colour),
        colours=tensor(colours),
        triangles=torch.from_numpy(np.ascontiguousarray(triangles)),
        landmarks=torch.from_numpy(landmarks),
    )
