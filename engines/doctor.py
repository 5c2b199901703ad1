"""What this machine can do for the engine; `visavis doctor` prints it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from visavis.engines.cores import available_cores

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
    """

    name: str
    ok: bool
    detail: str
    advice: str


def checks() -> list[Check]:
    """Look at everything; nothing is raised."""
    return [
        _guarded(name, look)
        for name, look in (
            ("Python", _python),
            ("ONNX Runtime", _runtime),
            ("processor", _processor),
            ("cores", _cores),
            ("compiled kernels", _kernels),
            ("codecs", _codecs),
        )
    ]


def _guarded(name: str, look: Callable[[str], Check]) -> Check:
    try:
        return look(name)
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}", "Install visavis again.")


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
    features = _features()
    if platform.machine() not in ("x86_64", "AMD64"):
        return Check(name, True, platform.machine(), "")
    integers = sorted(features & {"avx512_vnni", "avx_vnni", "amx_int8"})
    words = ["AVX2" if "avx2" in features else "no AVX2"]
    words.append(f"8-bit products ({', '.join(integers)})" if integers else "no VNNI")
    advice = ""
    if not integers:
        advice = "8-bit networks are refused without VNNI; the slower 32-bit ones run."
    return Check(name, "avx2" in features, ", ".join(words), advice)


def _features(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


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
