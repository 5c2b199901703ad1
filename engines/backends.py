"""The backends by name: which there are, which work on this machine, and which one to take.

A backend that is asked for by name is given or refused, with what is missing and what to do. None
stands in for another unless it was asked to: TensorRT names what runs until its plans are built.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from visavis.engines.backend import Backend
from visavis.engines.cuda_driver import find_gpu
from visavis.engines.errors import BackendUnavailable, ConfigError
from visavis.engines.trial import trial

__all__ = ["NAMES", "NOT_RUN_BY_US", "Finding", "available", "choose", "find", "look", "survey"]

logger = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of looking for one backend.

    Attributes:
        name: as `--backend` takes it.
        backend: the backend, which has run a network; None where it does not work.
        problem: why it does not work; None where it does.
    """

    name: str
    backend: Backend | None
    problem: BackendUnavailable | None


def _onnx_cpu() -> Backend:
    try:
        from visavis.engines.onnx_cpu import OnnxCpuBackend
    except ImportError:
        raise BackendUnavailable(
            "onnx-cpu", "ONNX Runtime is not installed", "pip install 'visavis[cpu]'."
        ) from None
    return OnnxCpuBackend()


def _onnx_cuda() -> Backend:
    from visavis.engines.onnx_cuda import OnnxCudaBackend

    return OnnxCudaBackend()


def _torch_cpu() -> Backend:
    try:
        from visavis.engines.torch_device import TorchCpuBackend
    except ImportError as error:
        raise _no_torch("torch-cpu", error) from None
    return TorchCpuBackend()


def _torch_cuda() -> Backend:
    try:
        from visavis.engines.torch_device import TorchCudaBackend
    except ImportError as error:
        raise _no_torch("torch-cuda", error) from None
    return TorchCudaBackend()


def _no_torch(name: str, error: ImportError) -> BackendUnavailable:
    missing = isinstance(error, ModuleNotFoundError) and error.name == "torch"
    reason = "torch is not installed" if missing else f"torch does not load ({str(error)[:200]})"
    return BackendUnavailable(name, reason, "pip install torch.")


def _tensorrt() -> Backend:
    from visavis.engines.tensorrt_backend import TensorrtBackend

    return TensorrtBackend()


_MAKERS: dict[str, Callable[[], Backend]] = {
    "tensorrt": _tensorrt,
    "onnx-cuda": _onnx_cuda,
    "torch-cuda": _torch_cuda,
    "onnx-cpu": _onnx_cpu,
    "torch-cpu": _torch_cpu,
}
NAMES = tuple(_MAKERS)
# What `auto` takes, the first that works. torch on the processor is slow: it is there to compare.
_PREFERRED = ("tensorrt", "onnx-cuda", "torch-cuda", "onnx-cpu")
# Written against the documentation and the bindings, and tested with stand-ins that fail as the
# real ones do. A name goes from here when we have run it on a GPU.
NOT_RUN_BY_US = frozenset({"tensorrt", "onnx-cuda", "torch-cuda"})


def find(name: str) -> Backend:
    """Return a backend that has just run a network.

    Args:
        name: one of `NAMES`.

    Raises:
        ConfigError: there is no backend of that name.
        BackendUnavailable: it does not work on this machine.
    """
    if name not in _MAKERS:
        raise ConfigError(f"There is no backend {name!r}; there are: {', '.join(NAMES)}.")
    backend = _MAKERS[name]()
    trial(name, backend)
    return backend


def look(name: str) -> Finding:
    """Look for one backend; nothing is raised but for a name that is none."""
    try:
        return Finding(name, find(name), None)
    except BackendUnavailable as problem:
        return Finding(name, None, problem)
    except Exception as error:  # a library that breaks is one that does not work
        reason = f"{type(error).__name__}: {str(error)[:200]}".replace("\n", " ")
        return Finding(name, None, BackendUnavailable(name, reason))


def survey() -> list[Finding]:
    """Look for every backend; nothing is raised."""
    return [look(name) for name in NAMES]


def available() -> list[Backend]:
    """Return one of each that works, ready to load networks."""
    return [finding.backend for finding in survey() if finding.backend is not None]


def choose(wanted: str = AUTO, *, plans: Path | None = None) -> Backend:
    """Return the backend to serve with.

    Args:
        wanted: one of `NAMES`, or "auto" for the fastest kind that works.
        plans: where TensorRT keeps its plans; the user's cache where None.

    Raises:
        ConfigError: there is no backend of that name.
        BackendUnavailable: it does not work on this machine; of "auto", none does.
    """
    if wanted != AUTO:
        return _serving(wanted, plans)
    names: tuple[str, ...] = _PREFERRED
    try:
        find_gpu(AUTO)
    except BackendUnavailable as problem:
        # Nothing is said of libraries for a GPU that is not there, nor are they loaded.
        logger.info("Networks run on the processor: %s.", problem.reason)
        names = _PREFERRED[-1:]
    problems: list[BackendUnavailable] = []
    for name in names:
        try:
            backend = _serving(name, plans)
        except BackendUnavailable as problem:
            problems.append(problem)
            continue
        for refused in problems:
            # There is a GPU, so it matters why it is not used, or not so well as it could be.
            logger.warning("%s", refused)
        logger.info("Networks run on %s.", backend.name)
        return backend
    raise problems[-1]


def _serving(name: str, plans: Path | None) -> Backend:
    backend = find(name)
    if name != "tensorrt":
        return backend
    from visavis.engines.tensorrt_backend import TensorrtBackend
    from visavis.engines.tensorrt_cache import PlanCache, default_folder

    others = (look(other).backend for other in _PREFERRED if other != name)
    interim = next((other for other in others if other is not None), None)
    return TensorrtBackend(cache=PlanCache(plans or default_folder()), interim=interim)
