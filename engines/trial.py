"""Does a backend work? Only a network that it has run says so.

Libraries that import, and report a GPU, still fail at the first convolution, where ONNX Runtime
loads cuDNN, or give nothing but zeros, where a kernel was built for other hardware. So a small
network is loaded and run, and what comes out is compared with what it must be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Backend
from visavis.engines.errors import BackendUnavailable
from visavis.engines.protobuf import encode_field

__all__ = ["TRIAL_MODEL", "expected", "trial"]

SIZE, IN, OUT = 8, 2, 4
BATCHES = (1, 3)
TOLERANCE = 1e-3

_FLOAT, _INTS = 1, 7


def trial(name: str, backend: Backend) -> None:
    """Run a small network and look at what it gives.

    Args:
        name: of the backend, for the message.
        backend: that claims to work.

    Raises:
        BackendUnavailable: it does not load or run the network, or computes something else.
    """
    try:
        graph = backend.load("trial", TRIAL_MODEL)
        for size in BATCHES:
            planes = _planes(size)
            found = graph.run({"x": planes})["y"]
            wanted = expected(planes)
            if found.shape != wanted.shape or not np.allclose(found, wanted, atol=TOLERANCE):
                raise BackendUnavailable(name, "it computes a small network wrongly")
    except BackendUnavailable:
        raise
    except Exception as error:  # runtimes raise classes that they do not export
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise BackendUnavailable(
            name, f"it does not run a small network ({reason.rstrip('.')})"
        ) from error


def expected(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the network gives, f32[N, 4, 8, 8], for f32[N, 2, 8, 8]."""
    around = np.pad(planes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows, _WEIGHT) + _BIAS[:, None, None]
    return np.asarray(np.maximum(sums, 0), np.float32)


def _planes(size: int) -> NDArray[np.float32]:
    count = size * IN * SIZE * SIZE
    values: NDArray[np.float32] = np.sin(np.arange(count, dtype=np.float32))
    return values.reshape(size, IN, SIZE, SIZE)


def _message(*parts: tuple[int, int | bytes]) -> bytes:
    return b"".join(encode_field(number, value) for number, value in parts)


def _tensor(name: str, array: NDArray[np.float32]) -> bytes:
    sizes = [(1, size) for size in array.shape]
    return _message(*sizes, (2, _FLOAT), (8, name.encode()), (9, array.tobytes()))


def _node(operator: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    names: list[tuple[int, int | bytes]] = [(1, name.encode()) for name in inputs]
    tail: list[tuple[int, int | bytes]] = [(5, attribute) for attribute in attributes]
    return _message(*names, (2, output.encode()), (4, operator.encode()), *tail)


def _value(name: str, channels: int) -> bytes:
    batch = _message((1, _message((2, b"N"))))
    sizes = b"".join(_message((1, _message((1, size)))) for size in (channels, SIZE, SIZE))
    tensor = _message((1, _FLOAT), (2, batch + sizes))
    return _message((1, name.encode()), (2, _message((1, tensor))))


_WEIGHT = np.cos(np.arange(OUT * IN * 9, dtype=np.float32)).reshape(OUT, IN, 3, 3)
_BIAS = np.array([0.1, -0.2, 0.3, -0.4], np.float32)
_PADS = _message((1, b"pads"), (20, _INTS), *[(8, 1)] * 4)
# y = Relu(Conv(x)), written by hand: serving needs no library that writes ONNX.
TRIAL_MODEL = _message(
    (1, 8),
    (
        7,
        _message(
            (1, _node("Conv", ["x", "weight", "bias"], "sums", _PADS)),
            (1, _node("Relu", ["sums"], "y")),
            (2, b"trial"),
            (5, _tensor("weight", _WEIGHT)),
            (5, _tensor("bias", _BIAS)),
            (11, _value("x", IN)),
            (12, _value("y", OUT)),
        ),
    ),
    (8, _message((2, 17))),
)
