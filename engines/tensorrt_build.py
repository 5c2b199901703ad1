"""Builds a TensorRT plan from an ONNX graph: in this process, or in one of its own.

A build takes seconds to minutes, all of a core and much of the GPU, and may run out of memory. So a
server has it done by ``python -m visavis.engines.tensorrt_build``, niced, with the graph on its
standard input: what goes wrong there ends nothing but the build.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any

from visavis.engines.errors import EngineError, PersonFileError, VisavisError
from visavis.engines.onnx_edit import bytes_last
from visavis.engines.tensorrt_library import Complaints, load_tensorrt

__all__ = ["Built", "Profile", "SeparateBuild", "build_plan", "main"]

logger = logging.getLogger(__name__)

# Part of the key of every cached plan: to be raised when the settings below change.
RECIPE = 1
WORKSPACE_BYTES = 2 << 30
OPTIMIZATION_LEVEL = 4
TIMEOUT_SECONDS = 1800.0
NICENESS = 10


@dataclass(frozen=True, slots=True)
class Profile:
    """The batch sizes that a plan runs: 1 to `most`, and the one that it is tuned for."""

    best: int
    most: int


@dataclass(frozen=True, slots=True)
class Built:
    """A serialized engine, and what the builder has learnt of this GPU's kernels."""

    plan: bytes
    timing: bytes


def build_plan(
    library: Any, name: str, model: bytes, profile: Profile, *, timing: bytes = b""
) -> Built:
    """Build in this process, which takes long.

    Args:
        library: the module `tensorrt`.
        name: the part's name, for messages.
        model: an ONNX file whose inputs leave the batch free; its types are the plan's.
        profile: batch sizes.
        timing: what an earlier build on this GPU has learnt.

    Raises:
        PersonFileError: TensorRT does not take the graph.
        EngineError: the build failed.
    """
    complaints = Complaints(library)
    builder = library.Builder(complaints.logger)
    network = builder.create_network(_flags(library))
    parser = library.OnnxParser(network, complaints.logger)
    if not parser.parse(bytes_last(name, model)):
        raise PersonFileError(f"{name!r} is refused by TensorRT: {_refusal(parser, complaints)}.")
    config = builder.create_builder_config()
    # TF32 has ten bits of mantissa, which is not what a graph of 32-bit floats says.
    config.clear_flag(library.BuilderFlag.TF32)
    config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.builder_optimization_level = OPTIMIZATION_LEVEL
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, False):
        # Of another GPU or version: nothing is lost but time.
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    shapes = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        shapes.set_shape(tensor.name, (1, *rest), (profile.best, *rest), (profile.most, *rest))
    if config.add_optimization_profile(shapes) < 0:
        raise EngineError(f"TensorRT takes no batches of 1 to {profile.most} for {name!r}.")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = complaints.first("it says no more")
        raise EngineError(f"TensorRT cannot build {name!r}: {reason}.")
    learnt = config.get_timing_cache()
    return Built(bytes(plan), b"" if learnt is None else bytes(learnt.serialize()))


def _flags(library: Any) -> int:
    """Return what makes a network strongly typed: a flag in 10; in 11 it always is."""
    flag = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _refusal(parser: Any, complaints: Complaints) -> str:
    if parser.num_errors == 0:
        return complaints.first("it says no more")
    error = parser.get_error(0)
    operator = error.node_operator()
    where = f"{operator}: " if operator else ""
    return where + str(error.desc()).splitlines()[0][:200].rstrip(". ")


class SeparateBuild:
    """Builds in a process of its own; `stop` ends one that runs. For one build at a time.

    Args:
        timeout_seconds: of the wall clock, for one build.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __call__(self, name: str, model: bytes, profile: Profile, *, timing: bytes = b"") -> Built:
        """Build; see `build_plan`.

        Raises:
            PersonFileError: TensorRT does not take the graph.
            EngineError: the build failed, took too long, crashed or was stopped.
        """
        asked = {"name": name, **asdict(profile), "timing": len(timing), "model": len(model)}
        with self._lock:
            if self._stopped:
                raise EngineError(f"The build of {name!r} was stopped.")
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "visavis.engines.tensorrt_build"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        try:
            head = json.dumps(asked).encode() + b"\n"
            out, _ = process.communicate(head + timing + model, timeout=self._timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise EngineError(
                f"TensorRT did not build {name!r} within {self._timeout:.0f} s."
            ) from None
        finally:
            with self._lock:
                self._process = None
        return _read(name, out, process.returncode)

    def stop(self) -> None:
        """End the build that runs, and all that may come."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()


def _read(name: str, out: bytes, code: int) -> Built:
    line, _, rest = out.partition(b"\n")
    try:
        head = json.loads(line)
        error, refused = head["error"], bool(head["refused"])
        size, learnt = int(head["plan"]), int(head["timing"])
    except (ValueError, TypeError, KeyError):
        raise EngineError(
            f"The build of {name!r} ended with code {code} and without a result."
        ) from None
    if error is not None:
        raise (PersonFileError if refused else EngineError)(str(error)[:500])
    if len(rest) != size + learnt:
        raise EngineError(f"The build of {name!r} ended before its result was whole.")
    return Built(rest[:size], rest[size:])


def main() -> int:
    """Read what is asked from standard input, and write a line of JSON and the plan."""
    # The plan goes to standard output: what libraries print must not mix with it.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.nice(NICENESS)
    asked = json.loads(sys.stdin.buffer.readline())
    timing = sys.stdin.buffer.read(asked["timing"])
    model = sys.stdin.buffer.read(asked["model"])
    head: dict[str, Any] = {"error": None, "refused": False, "plan": 0, "timing": 0}
    built = Built(b"", b"")
    try:
        profile = Profile(asked["best"], asked["most"])
        built = build_plan(load_tensorrt(), asked["name"], model, profile, timing=timing)
        head |= {"plan": len(built.plan), "timing": len(built.timing)}
    except VisavisError as error:
        head |= {"error": str(error), "refused": isinstance(error, PersonFileError)}
    output.write(json.dumps(head).encode() + b"\n" + built.plan + built.timing)
    output.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
