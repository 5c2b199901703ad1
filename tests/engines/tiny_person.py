"""A tiny person with every real stage: untrained networks, a mesh of 33 points, 60 frames.

Built without torch, so that the engine's own tests need none. The weights are large enough for
sound to move the mouth and for the mouth to change the picture: a test must see what it tests.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.engines import sample_file
from visavis.engines.npy import dump_array
from visavis.engines.person import Person, read_person, write_person

SIZE = 64  # of the crop
HALF = SIZE // 2
WIDTH = HEIGHT = 128
FRAMES = 60
FEATURES = 66
LOOKAHEADS = (40, 60, 100, 110, 140, 230)  # 140, 100 and 60 are apart by ticks
COEFFICIENTS = 6
HIDDEN = 8
PLANES = 38


@functools.cache
def tiny_file(name: str = "tiny", blend: tuple[float, ...] = (1.0,)) -> bytes:
    """The person file's bytes."""
    return write_person(_manifest(name, blend), _parts())


@functools.cache
def tiny_person(name: str = "tiny", blend: tuple[float, ...] = (1.0,)) -> Person:
    """The person, without the detour through a limited process."""
    return read_person(tiny_file(name, blend))


def voice(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Syllables of a buzz with moving formants, pauses between them, f32[n] at 16 kHz."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16000)) / 16000
    pitch = 110 + 30 * np.sin(2 * np.pi * 0.7 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    formant = 700 + 400 * np.sin(2 * np.pi * 1.3 * time + 2 * seed)
    buzz = sum(
        np.exp(-(((k * pitch - formant) / 300) ** 2)) * np.sin(k * phase) for k in range(1, 20)
    )
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + seed), 0, 1)
    noise = 0.002 * random.standard_normal(len(time))
    return (0.1 * buzz * syllables + noise).astype(np.float32)


def _manifest(name: str, blend: tuple[float, ...]) -> dict[str, Any]:
    h = HALF
    return {
        **sample_file.manifest(),
        "name": name,
        "display_name": "Tiny",
        "width": WIDTH,
        "height": HEIGHT,
        "lookahead_ms": 100,
        "stages": {
            "audio": {"op": "logmel@1"},
            "motion": {
                "op": "tract@2",
                "params": {
                    "graph": "motion",
                    "state": [[HIDDEN]],
                    "lookaheads": list(LOOKAHEADS),
                    "blend": list(blend),
                },
                "parts": {k: f"motion/{k}.npy" for k in ("rest", "map", "closed", "liptooth")},
            },
            "geometry": {
                "op": "linear@1",
                "parts": {k: f"geometry/{k}.npy" for k in ("mean", "basis")},
            },
            "raster": {
                "op": "planes@2",
                "params": {"lip_reach": 12.0},
                "parts": {
                    **{k: f"raster/{k}.npy" for k in _mesh() if k not in ("mean", "basis")},
                    "mask": "mask.npy",
                },
            },
            "render": {"op": "graph@1", "params": {"graph": "renderer"}},
            "composite": {"op": "feather@1", "parts": {"mask": "mask.npy"}},
            "background": {
                "op": "walk@2",
                "params": {
                    "blend": 8,
                    "size": SIZE,
                    "anchor": [0.0, 0.0, 0.0],
                    "grid": [-1.5, -1.5, 0.25],
                    "breath": 0.03,
                },
                "parts": {
                    "video": "background.mp4",
                    **{k: f"background/{k}.npy" for k in _background()},
                },
            },
        },
        "graphs": {
            "motion": {
                "inputs": {"features": ["N", 4, FEATURES], "state_0": ["N", HIDDEN]},
                "outputs": {"tract": ["N", len(LOOKAHEADS), 2, 9], "next_state_0": ["N", HIDDEN]},
                "state": [["state_0", "next_state_0"]],
                "variants": {"fp32": "motion.fp32.onnx"},
            },
            "renderer": {
                "inputs": {"planes": ["N", PLANES, h, h]},
                "outputs": {"y": ["N", SIZE, SIZE], "u": ["N", h, h], "v": ["N", h, h]},
                "variants": {"fp32": "renderer.fp32.onnx"},
            },
        },
    }


def _parts() -> dict[str, bytes]:
    random = np.random.default_rng(1)
    c = COEFFICIENTS
    mesh = _mesh()
    arrays: dict[str, NDArray[Any]] = {
        "motion/rest": np.zeros(c, np.float32),
        "motion/map": random.normal(0, 0.8, (c, 6)).astype(np.float32),
        "motion/closed": random.normal(0, 0.1, c).astype(np.float32),
        "motion/liptooth": random.normal(0, 0.1, c).astype(np.float32),
        "geometry/mean": mesh.pop("mean"),
        "geometry/basis": mesh.pop("basis"),
        **{f"raster/{key}": value for key, value in mesh.items()},
        "mask": _mask(),
        **{f"background/{key}": value for key, value in _background().items()},
    }
    return {
        **{f"{key}.npy": dump_array(value) for key, value in arrays.items()},
        "motion.fp32.onnx": _motion(random),
        "renderer.fp32.onnx": _renderer(random),
        "background.mp4": _video(random),
        "poster.jpg": sample_file.PARTS["poster.jpg"],
    }


def _mesh() -> dict[str, NDArray[Any]]:
    """A 5x5 patch of face with a hole for the mouth's middle, and two charts of teeth."""
    random = np.random.default_rng(2)
    grid = np.linspace(-0.5, 0.5, 5, dtype=np.float32)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    face = np.stack([x, y, 0.3 * (x**2 + y**2)], 1)
    chart = np.array([[-0.2, -0.1], [0.2, -0.1], [-0.2, 0.1], [0.2, 0.1]], np.float32)
    upper = np.concatenate([chart + [0, -0.05], np.full((4, 1), 0.1)], 1)
    lower = np.concatenate([chart + [0, 0.1], np.full((4, 1), 0.12)], 1)
    cells = [(r, c) for r in range(4) for c in range(4)]
    triangles = []
    for r, c in cells:
        i = 5 * r + c
        triangles += [[i, i + 1, i + 5], [i + 1, i + 6, i + 5]]
    basis = random.normal(0, 0.08, (COEFFICIENTS, 33, 3)).astype(np.float32)
    basis[:, 25:29] = 0  # the skull does not move with the mouth
    pixels = (face[:, :2] + 0.5) * (SIZE - 8) + 4
    teeth = (chart + [0.2, 0.1]) * [2.5 * (SIZE - 8), 5 * (SIZE - 8)] + 4
    return {
        "mean": np.concatenate([face, upper, lower]).astype(np.float32),
        "basis": basis,
        "triangles": np.array(triangles, np.int32),
        "upper_triangles": np.array([[25, 26, 27], [26, 28, 27]], np.int32),
        "lower_triangles": np.array([[29, 30, 31], [30, 32, 31]], np.int32),
        "lips": np.array([6, 7, 8, 13, 18, 17, 16, 11], np.int32),
        "uv": np.concatenate([pixels, teeth, teeth]).astype(np.float32),
        **{
            name: random.integers(16, 236, (SIZE * 3 // 2, SIZE), np.uint8)
            for name in ("texture", "upper", "lower")
        },
        **_appearance(face),
    }


def _appearance(face: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """A picture that each component changes by tens of levels, wider than high, the face upright.

    The mesh lies in it otherwise than in the texture; the teeth's corners are nowhere.
    """
    random = np.random.default_rng(4)
    height, width = 40, 56
    uv = np.zeros((33, 2), np.float32)
    uv[:25] = (face[:, :2] + 0.5) * (width - 10, height - 8) + (5, 4)
    uv[:25] += random.normal(0, 0.7, (25, 2))
    rows = height * 3 // 2
    return {
        "appearance_mean": random.integers(0, 256, (rows, width), np.uint8),
        "appearance_basis": random.integers(-127, 128, (COEFFICIENTS, rows, width), np.int8),
        "appearance_scale": np.linspace(0.4, 0.1, COEFFICIENTS, dtype=np.float32),
        "appearance_uv": uv,
    }


def _mask() -> NDArray[np.uint8]:
    ramp = np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1])
    edge = np.minimum(ramp[:, None], ramp[None])
    mask: NDArray[np.uint8] = np.clip((edge - 2) * 32, 0, 255).astype(np.uint8)
    return mask


def _poses() -> NDArray[np.float32]:
    poses = np.zeros((FRAMES, 3, 4), np.float32)
    for index in range(FRAMES):
        angle = 0.1 * np.sin(2 * np.pi * index / FRAMES)
        scale = 50 + 3 * np.cos(2 * np.pi * index / FRAMES)
        rotation = [
            [np.cos(angle), -np.sin(angle), 0],
            [np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
        ]
        poses[index, :, :3] = scale * np.array(rotation)
        poses[index, :2, 3] = [64.3 + 8 * np.sin(index / 5), 63.8 + 5 * np.cos(index / 7)]
    return poses


def _background() -> dict[str, NDArray[Any]]:
    """A round head that follows, a torso below it, a blink that begins with frame 20."""
    step = np.arange(13) * 0.25 - 1.5
    radius = np.hypot(*np.meshgrid(step, step))
    follow = np.clip((1.3 - radius) / 0.5, 0, 1)
    torso = np.zeros((HEIGHT // 16 + 1, WIDTH // 16 + 1), np.uint8)
    torso[6:8] = 255
    return {
        "pose": _poses(),
        "jumps": np.array([[30, 8], [40, 5], [49, 12]], np.int32),
        "costs": np.array([0.2, 0.1, 0.3], np.float32),
        "unrest": np.linspace(0, 1, FRAMES, dtype=np.float32),
        "depth": (0.3 * radius**2 - 0.2).clip(-0.2, 0.5).astype(np.float32),
        "follow": np.rint(255 * follow).astype(np.uint8),
        "torso": torso,
        "eyes": np.array([[-0.25, -0.2, 0, 0.2, 0.1], [0.25, -0.2, 0, 0.2, 0.1]], np.float32),
        "blinks": np.array([[20, 24]], np.int32),
    }


def _video(random: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    base = random.integers(40, 200, (HEIGHT * 3 // 2 // 8, WIDTH // 8), np.uint8)
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": "10", "bf": "0", "crf": "20", "x264-params": "open-gop=0"}
        for index in range(FRAMES):
            picture = np.kron(base, np.ones((8, 8), np.uint8)) + np.uint8(index)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _model(
    nodes: list[Any], inputs: dict[str, list[Any]], outputs: dict[str, Any], weights: dict[str, Any]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info(k, kind, v) for k, (kind, v) in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def _motion(random: np.random.Generator) -> bytes:
    node = helper.make_node
    flat, h = 4 * FEATURES, HIDDEN
    normal = functools.partial(random.normal, 0.0)
    heads = len(LOOKAHEADS)
    out = normal(0.4, (h, 18 * heads))
    # Sure of speech at times, at times only inclined to it: then the second opinion decides.
    bias = np.tile(np.array([0.2, 0.1, 0, 0.4, 0.2, 0.3, -2, -2, 1.5]), 2 * heads)
    return _model(
        [
            node("Reshape", ["features", "rows"], ["flat"]),
            node("MatMul", ["flat", "w_in"], ["a"]),
            node("MatMul", ["state_0", "w_state"], ["b"]),
            node("Add", ["a", "b"], ["sum"]),
            node("Tanh", ["sum"], ["next_state_0"]),
            node("MatMul", ["next_state_0", "w_out"], ["c"]),
            node("Add", ["c", "bias"], ["d"]),
            node("Reshape", ["d", "steps"], ["e"]),
            node("Split", ["e", "sizes"], ["moves", "logits"], axis=3),
            node("Sigmoid", ["logits"], ["probabilities"]),
            node("Concat", ["moves", "probabilities"], ["tract"], axis=3),
        ],
        {"features": ["N", 4, FEATURES], "state_0": ["N", h]},
        {
            "tract": (TensorProto.FLOAT, ["N", heads, 2, 9]),
            "next_state_0": (TensorProto.FLOAT, ["N", h]),
        },
        {
            "rows": np.array([-1, flat]),
            "w_in": normal(0.08, (flat, h)).astype(np.float32),
            "w_state": normal(0.3, (h, h)).astype(np.float32),
            "w_out": out.astype(np.float32),
            "bias": bias.astype(np.float32),
            "steps": np.array([-1, heads, 2, 9]),
            "sizes": np.array([6, 3]),
        },
    )


def _renderer(random: np.random.Generator) -> bytes:
    node = helper.make_node
    h = HALF
    nodes = [
        node("Conv", ["planes", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        node("Clip", ["c2", "low", "high"], ["clipped"]),
        node("Round", ["clipped"], ["rounded"]),
        node("Cast", ["rounded"], ["levels"], to=TensorProto.UINT8),
        node("Split", ["levels", "sizes"], ["y4", "u1", "v1"], axis=1),
        node("Cast", ["y4"], ["y4f"], to=TensorProto.FLOAT),
        node("DepthToSpace", ["y4f"], ["y1f"], blocksize=2, mode="CRD"),
        node("Cast", ["y1f"], ["y1"], to=TensorProto.UINT8),
        node("Squeeze", ["y1", "axis"], ["y"]),
        node("Squeeze", ["u1", "axis"], ["u"]),
        node("Squeeze", ["v1", "axis"], ["v"]),
    ]
    return _model(
        nodes,
        {"planes": ["N", PLANES, h, h]},
        {
            "y": (TensorProto.UINT8, ["N", SIZE, SIZE]),
            "u": (TensorProto.UINT8, ["N", h, h]),
            "v": (TensorProto.UINT8, ["N", h, h]),
        },
        {
            "w1": random.normal(0, 0.12, (8, PLANES, 3, 3)).astype(np.float32),
            "b1": random.normal(0, 0.1, 8).astype(np.float32),
            "w2": random.normal(0, 12.0, (6, 8, 3, 3)).astype(np.float32),
            "b2": np.full(6, 120, np.float32),
            "low": np.float32(16),
            "high": np.float32(235),
            "sizes": np.array([4, 1, 1]),
            "axis": np.array([1]),
        },
    )
