"""TensorRT plans on disk: built once for a graph on a machine, and used for nothing else.

A plan is machine code. It runs on the GPU, driver and TensorRT that it was built with, or crashes.
So every file begins with all that it depends on and with the hash of what follows, a file that says
anything else is not loaded but built anew, and a folder that others may write to is refused: the
hash keeps accidents out, not attackers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from visavis.engines.errors import ConfigError

__all__ = ["PlanCache", "PlanKey", "default_folder"]

logger = logging.getLogger(__name__)

MAGIC = b"visavis plan 1\n"
MAX_HEAD_BYTES = 4096
MAX_PLAN_BYTES = 2 << 30
MAX_FILES = 64  # those that were not used for longest go
_TIMING = "timing"


@dataclass(frozen=True, slots=True)
class PlanKey:
    """All that a plan depends on.

    Attributes:
        graph: SHA-256 of the ONNX file, in hex; "timing" for what builds learn of a GPU.
        tensorrt: version.
        capability: of the GPU, as "9.0".
        gpu: its name.
        driver: version of the driver, and the CUDA version that it runs.
        best, most: batch sizes; see `tensorrt_build.Profile`.
        recipe: version of the settings that it was built with.
    """

    graph: str
    tensorrt: str
    capability: str
    gpu: str
    driver: str
    best: int
    most: int
    recipe: int

    @property
    def file(self) -> str:
        """Name of its file. What is not in it is looked for inside: then a change can be told."""
        return f"{self.graph[:32]}.sm{self.capability.replace('.', '')}.{self.most}.plan"


def default_folder() -> Path:
    """Return where plans are kept: ``$VISAVIS_CACHE_DIR/tensorrt``, or in the user's own cache."""
    if told := os.environ.get("VISAVIS_CACHE_DIR"):
        return Path(told) / "tensorrt"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "visavis" / "tensorrt"


class PlanCache:
    """A folder of plans; several processes may share it.

    Args:
        folder: it is made if it is not there.

    Raises:
        ConfigError: it cannot be made, or somebody else may write to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except OSError as error:
            raise ConfigError(f"Plans cannot be kept in {folder}: {error.strerror}.") from error
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"Plans are not kept in {folder}: others may write to it, and a plan is code."
            )

    def load(self, key: PlanKey) -> bytes | None:
        """Return a plan; None where there is none, and where it is not what it should be."""
        path = self._folder / key.file
        try:
            return _read(path, key)
        except FileNotFoundError:
            return None
        except OSError as error:
            _say(path, f"cannot be read ({error.strerror})")
        except _Useless as error:
            _say(path, str(error))
        return None

    def store(self, key: PlanKey, plan: bytes) -> None:
        """Keep a plan; a disk that is full or read-only is said, and costs the next start time."""
        head = {"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest()}
        path = self._folder / key.file
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                file.write(MAGIC + json.dumps(head).encode() + b"\n" + plan)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            logger.warning("The plan %s cannot be kept: %s.", path, error.strerror)
            beside.unlink(missing_ok=True)
            return
        self._tidy()

    def discard(self, key: PlanKey, reason: str) -> None:
        """Say that a plan turned out to be of no use, and take it away."""
        _say(self._folder / key.file, reason)
        (self._folder / key.file).unlink(missing_ok=True)

    def load_timing(self, key: PlanKey) -> bytes:
        """Return what earlier builds have learnt of the key's GPU; b"" where nothing is kept."""
        return self.load(_of_gpu(key)) or b""

    def store_timing(self, key: PlanKey, timing: bytes) -> None:
        """Keep what a build has learnt of the key's GPU."""
        if timing:
            self.store(_of_gpu(key), timing)

    def _tidy(self) -> None:
        ages = []
        for path in self._folder.glob("*.plan"):
            try:
                ages.append((path.stat().st_mtime, path))
            except OSError:  # another process was faster
                continue
        for _, path in sorted(ages)[:-MAX_FILES]:
            path.unlink(missing_ok=True)


class _Useless(Exception):
    """A file is not the plan that is asked for; the message is a clause."""


def _read(path: Path, key: PlanKey) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_PLAN_BYTES:
            raise _Useless("is too large")
        magic, line = file.read(len(MAGIC)), file.readline(MAX_HEAD_BYTES)
        if magic != MAGIC:
            raise _Useless("is no plan of visavis")
        plan = file.read()
    try:
        head = json.loads(line)
        found, digest = PlanKey(**head["key"]), head["sha256"]
    except (ValueError, TypeError, KeyError):
        raise _Useless("is damaged") from None
    if found != key:
        raise _Useless(f"was built for another {_difference(found, key)}")
    if hashlib.sha256(plan).hexdigest() != digest:
        raise _Useless("is damaged")
    with contextlib.suppress(OSError):
        os.utime(path)  # it was used
    return plan


def _say(path: Path, reason: str) -> None:
    logger.warning("The cached plan %s %s: it is not used, and built anew.", path, reason)


def _of_gpu(key: PlanKey) -> PlanKey:
    return replace(key, graph=_TIMING, best=0, most=0)


def _difference(found: PlanKey, wanted: PlanKey) -> str:
    """Return the first thing that differs, in words."""
    words = {
        "tensorrt": "TensorRT",
        "capability": "GPU",
        "gpu": "GPU",
        "driver": "driver",
        "graph": "graph",
        "best": "batch",
        "most": "batch",
        "recipe": "version of visavis",
    }
    before, now = asdict(found), asdict(wanted)
    name = next(name for name in words if before[name] != now[name])
    return f"{words[name]} ({str(before[name])[:60]}, now {str(now[name])[:60]})"
