"""What this machine can do for the engine; `visavis doctor` prints it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from visavis.engines import gpu_check
from visavis.engines.backend import variants_of
from visavis.engines.backends import NAMES, NOT_RUN_BY_US, look
from visavis.engines.cores import available_cores
from visavis.engines.errors import BackendUnavailable
from visavis.engines.processor import INTEGER_PRODUCTS, features, is_x86

__all__ = ["Check", "checks"]

CODECS = {
    "libvpx": "VP8 in live sessions",
    "libx264": "H.264 in rendered videos",
    "libopus": "the voice",
    "aac": "sound in rendered videos",
    "h264": "the person's own frames",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        ok: serving works with it.
        detail: what was found.
        advice: what to do where it is not ok, or where more could be had; "" for nothing.
        needed: whether serving needs it; what is not needed is told, and stands in nobody's way.
    """

    name: str
    ok: bool
    detail: str
    advice: str
    needed: bool = True


def checks() -> list[Check]:
    """Look at everything; nothing is raised."""
    needed: dict[str, Callable[[str], Check]] = {
        "Python": _python,
        "ONNX Runtime": _runtime,
        "processor": _processor,
        "cores": _cores,
        "compiled kernels": _kernels,
        "codecs": _codecs,
    }
    further: dict[str, Callable[[], str]] = {
        "GPU": gpu_check.gpu,
        "cupy": gpu_check.cupy,
        "encoder on the GPU": gpu_check.encoder,
        **{f"backend {name}": partial(_backend, name) for name in NAMES},
    }
    return [
        *(_guarded(name, check) for name, check in needed.items()),
        *(_optional(name, check) for name, check in further.items()),
    ]


def _guarded(name: str, check: Callable[[str], Check]) -> Check:
    try:
        return check(name)
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}", "Install visavis again.")


def _optional(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check(), "", needed=False)
    except BackendUnavailable as problem:
        return Check(name, False, problem.reason, problem.advice, needed=False)
    except Exception as error:
        words = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
        return Check(name, False, words, "", needed=False)


def _backend(name: str) -> str:
    """Return what a backend is and runs, after it has run a network.

    Raises:
        BackendUnavailable: it does not work.
    """
    finding = look(name)
    unproven = " (not run by us yet)" if name in NOT_RUN_BY_US else ""
    if finding.problem is not None:
        problem = finding.problem
        raise BackendUnavailable(name, problem.reason + unproven, problem.advice)
    assert finding.backend is not None
    kinds = ", ".join(sorted(variants_of(finding.backend)))
    return f"works, runs {kinds}{unproven}"


def _python(name: str) -> Check:
    ok = sys.version_info >= (3, 11)
    return Check(name, ok, platform.python_version(), "" if ok else "Use Python 3.11 or later.")


def _runtime(name: str) -> Check:
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        return Check(name, False, "not installed", "pip install 'visavis[cpu]'")
    providers = runtime.get_available_providers()
    ok = "CPUExecutionProvider" in providers
    advice = "" if ok else "Install onnxruntime or onnxruntime-gpu, not both: they overwrite."
    return Check(name, ok, f"{runtime.__version__} with {', '.join(providers)}", advice)


def _processor(name: str) -> Check:
    if not is_x86():
        return Check(name, True, platform.machine(), "")
    found = features()
    integers = sorted(found & INTEGER_PRODUCTS)
    words = ["AVX2" if "avx2" in found else "no AVX2"]
    words.append(f"8-bit products ({', '.join(integers)})" if integers else "no VNNI")
    advice = ""
    if not integers:
        advice = "8-bit networks are refused without VNNI; the slower 32-bit ones run."
    return Check(name, "avx2" in found, ", ".join(words), advice)


def _cores(name: str) -> Check:
    cores = available_cores()
    present = os.cpu_count() or 1
    advice = ""
    if cores < 1:
        advice = "Frames will come late: give the container at least one whole core."
    return Check(name, cores >= 1, f"{cores:g} of {present} may be used", advice)


def _kernels(name: str) -> Check:
    numba = import_module("numba")
    folder = os.environ.get("NUMBA_CACHE_DIR") or str(Path(__file__).parent / "__pycache__")
    # numba falls back to a folder of the user where the package's own is read-only.
    for place in (Path(folder), Path.home() / ".cache" / "numba"):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return Check(name, True, f"numba {numba.__version__}, kept in {place}", "")
        except OSError:
            continue
    return Check(
        name,
        False,
        f"numba {numba.__version__}, nowhere to keep them",
        "Every start compiles for a minute; set NUMBA_CACHE_DIR to a folder that can be written.",
    )


def _codecs(name: str) -> Check:
    codec = import_module("av").codec
    missing = [key for key in CODECS if key not in codec.codecs_available]
    if missing:
        return Check(
            name,
            False,
            "; ".join(f"no {key} ({CODECS[key]})" for key in missing),
            "Install PyAV from its wheel: pip install --force-reinstall --only-binary :all: av",
        )
    return Check(name, True, ", ".join(CODECS), "")
