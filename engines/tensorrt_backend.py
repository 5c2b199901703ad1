"""Networks on an NVIDIA GPU, with TensorRT.

A plan is taken from the cache or built. A build takes long, so a server names another backend that
runs the graph meanwhile: it is said in the log which one runs and when that changes, and it changes
between two runs, never within one. Without such a backend, loading waits for the build.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from visavis.engines.backend import Backend, Feeds, Graph, Outputs
from visavis.engines.cuda_driver import CudaMemory, Load, find_gpu
from visavis.engines.device import DeviceArray, DeviceBackend, DeviceGraph
from visavis.engines.errors import VisavisError
from visavis.engines.tensorrt_build import RECIPE, Built, Profile, SeparateBuild
from visavis.engines.tensorrt_cache import PlanCache, PlanKey
from visavis.engines.tensorrt_graph import PlanRefused, TensorrtGraph
from visavis.engines.tensorrt_library import NAME, load_tensorrt

__all__ = ["SwitchingDeviceGraph", "SwitchingGraph", "TensorrtBackend"]

logger = logging.getLogger(__name__)

HOST_BATCH = 8  # as `local.MAX_BATCH`: what `load` builds for
MAX_WAITING = 64  # builds; whoever comes later keeps the other backend


class Build(Protocol):
    """Builds plans, and can be told to stop."""

    def __call__(self, name: str, model: bytes, profile: Profile, *, timing: bytes = b"") -> Built:
        """Build; see `tensorrt_build.build_plan`."""

    def stop(self) -> None:
        """End what runs, and all that may come."""


class SwitchingGraph:
    """A graph that another one takes over from, between two runs."""

    def __init__(self, interim: Graph) -> None:
        self._graph = interim

    def run(self, feeds: Feeds) -> Outputs:
        """Return every output by name; see `backend.Graph`."""
        return self._graph.run(feeds)

    def switch(self, graph: TensorrtGraph) -> None:
        """Let this one run from the next run on."""
        self._graph = graph


class SwitchingDeviceGraph:
    """A graph on a device that another one takes over from, between two runs."""

    def __init__(self, interim: DeviceGraph) -> None:
        self._graph = interim

    @property
    def capture_key(self) -> Hashable | None:
        """See `device.DeviceGraph`."""
        return self._graph.capture_key

    def enqueue(
        self,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
        stream: int,
    ) -> None:
        """Put one run on a stream; see `device.DeviceGraph`."""
        self._graph.enqueue(feeds, outputs, stream)

    def switch(self, graph: TensorrtGraph) -> None:
        """Let this one run from the next run on."""
        self._graph = graph


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    model: bytes
    profile: Profile
    switch: Callable[[TensorrtGraph], None]


class TensorrtBackend:
    """Makes networks ready to run on the first NVIDIA GPU.

    Args:
        cache: of plans; nothing is kept where None.
        interim: runs a graph while its plan is built; loading waits where None.
        build: makes plans; in processes of their own by default.
        load_library: loads a shared library by its name.

    Attributes:
        failures: what could not be built, a sentence each, the last ones.

    Raises:
        BackendUnavailable: TensorRT, the driver or a GPU is missing or of another version.
    """

    # TensorRT has no unsigned 8-bit products: its own 8-bit graphs are calibrated otherwise.
    variants = frozenset({"fp32", "fp16"})

    def __init__(
        self,
        *,
        cache: PlanCache | None = None,
        interim: Backend | None = None,
        build: Build | None = None,
        load_library: Load = ctypes.CDLL,
    ) -> None:
        self._library = load_tensorrt()
        self.gpu = find_gpu(NAME, load=load_library)
        self.name = f"{NAME} (TensorRT {self._library.__version__})"
        self._memory = CudaMemory(load=load_library)
        self._cache = cache
        self._interim = interim
        self._build: Build = SeparateBuild() if build is None else build
        self.failures: deque[str] = deque(maxlen=16)
        self._condition = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None

    def load(self, name: str, model: bytes) -> Graph:
        """Make a network ready for batches of up to 8; see `backend.Backend`."""
        profile = Profile(HOST_BATCH, HOST_BATCH)
        if (ready := self._from_cache(name, model, profile)) is not None:
            return ready
        if self._interim is None:
            return self._built(name, model, profile)
        switching = SwitchingGraph(self._interim.load(name, model))
        self._later(_Job(name, model, profile, switching.switch), self._interim.name)
        return switching

    def load_device(self, name: str, model: bytes, *, max_batch: int) -> DeviceGraph:
        """Make a network ready to run on memory of the GPU; see `device.DeviceBackend`."""
        profile = Profile(max_batch, max_batch)
        if (ready := self._from_cache(name, model, profile)) is not None:
            return ready
        # One that cannot run on the GPU's memory cannot stand in here.
        if not isinstance(self._interim, DeviceBackend):
            return self._built(name, model, profile)
        interim = self._interim.load_device(name, model, max_batch=max_batch)
        switching = SwitchingDeviceGraph(interim)
        self._later(_Job(name, model, profile, switching.switch), self._interim.name)
        return switching

    def close(self) -> None:
        """Stop building; what runs goes on with what it runs on. Any thread, once or more."""
        with self._condition:
            self._closed = True
            self._waiting.clear()
            self._condition.notify_all()
        self._build.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _key(self, model: bytes, profile: Profile) -> PlanKey:
        gpu = self.gpu
        return PlanKey(
            graph=hashlib.sha256(model).hexdigest(),
            tensorrt=str(self._library.__version__),
            capability=".".join(map(str, gpu.capability)),
            gpu=gpu.name,
            driver=f"{gpu.driver or 'unknown'}, CUDA {gpu.cuda[0]}.{gpu.cuda[1]}",
            best=profile.best,
            most=profile.most,
            recipe=RECIPE,
        )

    def _from_cache(self, name: str, model: bytes, profile: Profile) -> TensorrtGraph | None:
        if self._cache is None:
            return None
        key = self._key(model, profile)
        if (plan := self._cache.load(key)) is None:
            return None
        try:
            return self._ready(name, plan, profile)
        except PlanRefused as error:
            self._cache.discard(key, f"is not taken ({str(error).rstrip('.')})")
            return None

    def _built(self, name: str, model: bytes, profile: Profile) -> TensorrtGraph:
        key = self._key(model, profile)
        timing = b"" if self._cache is None else self._cache.load_timing(key)
        logger.info("TensorRT builds %r for batches of up to %d.", name, profile.most)
        built = self._build(name, model, profile, timing=timing)
        graph = self._ready(name, built.plan, profile)
        if self._cache is not None:
            self._cache.store(key, built.plan)
            self._cache.store_timing(key, built.timing)
        return graph

    def _ready(self, name: str, plan: bytes, profile: Profile) -> TensorrtGraph:
        self._memory.enter()
        graph = TensorrtGraph(self._library, name, plan, profile.most, self._memory)
        # Kernels are loaded when they first run: not in the first frame of somebody.
        for size in sorted({1, profile.most}):
            graph.run(graph.silence(size))
        return graph

    def _later(self, job: _Job, interim: str) -> None:
        with self._condition:
            if self._closed or len(self._waiting) == MAX_WAITING:
                self.failures.append(f"{job.name!r} is not built: too many builds wait.")
                logger.error("%s %s goes on running it.", self.failures[-1], interim)
                return
            logger.warning(
                "TensorRT builds %r in the background; until it is done, %s runs it.",
                job.name,
                interim,
            )
            self._waiting.append(job)
            self._condition.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, args=(interim,), name="visavis-tensorrt-build", daemon=True
                )
                self._thread.start()

    def _work(self, interim: str) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._closed:
                    self._condition.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
            try:
                # Another graph with the same bytes may have been built meanwhile.
                graph = self._from_cache(job.name, job.model, job.profile)
                job.switch(graph or self._built(job.name, job.model, job.profile))
                logger.warning("TensorRT runs %r from now on.", job.name)
            except VisavisError as error:
                if not self._closed:
                    self.failures.append(str(error))
                    logger.error("%s %s goes on running it.", error, interim)
            except Exception:  # a bug must not end the builds of others
                self.failures.append(f"The build of {job.name!r} broke.")
                logger.exception("%s %s goes on running it.", self.failures[-1], interim)
