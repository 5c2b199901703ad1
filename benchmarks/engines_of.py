"""What runs a person's ticks, where a benchmark may say on which device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Runner
from visavis.engines.variant_memory import VariantMemory

__all__ = ["DEVICES", "runner_maker"]

DEVICES = ("cpu", "cuda")
ON_GPU = ("tensorrt", "onnx-cuda", "torch-cuda")


def runner_maker(
    device: str = "cpu", backend: str | None = None, *, room: int = 64
) -> Callable[[Person], Runner]:
    """What makes a runner of a person.

    Args:
        device: ``cpu``, or ``cuda`` for frames that stay on the first GPU until they are whole.
        backend: by name, what runs the networks; ONNX Runtime on a processor, and on a GPU the
            first of TensorRT, ONNX Runtime and torch that works there, where None.
        room: frames in a batch on the GPU, at most.

    Raises:
        ConfigError: there is no backend of that name.
        BackendUnavailable: device or backend does not work on this machine.
    """
    from visavis.engines.backends import find

    if device == "cpu":
        running = None if backend is None else find(backend)
        return partial(Pipeline, backend=running, memory=VariantMemory())
    from visavis.engines.cuda.cupy_device import CupyDevice
    from visavis.engines.cuda.runners import CudaRunners
    from visavis.engines.device import DeviceBackend
    from visavis.engines.errors import BackendUnavailable, ConfigError

    if backend is not None and backend not in ON_GPU:
        raise ConfigError(f"On a GPU networks run by {', '.join(ON_GPU)}, not by {backend!r}.")
    gpu = CupyDevice()
    problem: BackendUnavailable | None = None
    for name in ON_GPU if backend is None else (backend,):
        try:
            networks: DeviceBackend = find(name)  # type: ignore[assignment]  # those of ON_GPU are
        except BackendUnavailable as error:
            problem = error
            continue
        return CudaRunners(gpu, networks, room=room)
    assert problem is not None
    raise problem
