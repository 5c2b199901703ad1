"""The graphics side of `visavis doctor`: the GPU, cupy, and the encoder on the card."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from importlib import import_module

from visavis.engines.cuda_driver import find_gpu
from visavis.engines.errors import BackendUnavailable

__all__ = ["cupy", "encoder", "gpu"]

NVIDIA_SMI = "nvidia-smi"
_QUERY = "--query-gpu=name,driver_version,memory.total,memory.free"
TIMEOUT_SECONDS = 10.0
ENCODER = "h264_nvenc"
_SIZE = 256
_FRAMES = 4


def gpu() -> str:
    """Return name, driver and memory of each GPU, in words.

    Raises:
        BackendUnavailable: there is none that CUDA can use.
    """
    found = find_gpu("CUDA")
    words = (
        f"{found.name}, {found.memory_bytes >> 20} MiB, compute capability "
        f"{found.capability[0]}.{found.capability[1]}, CUDA {found.cuda[0]}.{found.cuda[1]}"
    )
    told = _smi()
    return f"{words}; {NVIDIA_SMI}: {told}" if told else words


def _smi() -> str:
    """Return what nvidia-smi tells, "" where it is missing or fails."""
    try:
        done = subprocess.run(
            [NVIDIA_SMI, _QUERY, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(done.stdout.strip().splitlines())[:500] if done.returncode == 0 else ""


def cupy() -> str:
    """Return cupy's version, after it has used the GPU.

    Raises:
        BackendUnavailable: it is missing, or finds no GPU.
    """
    try:
        library = import_module("cupy")
    except ImportError as error:
        # cupy fails to import with an ImportError of its own where CUDA is incomplete.
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        reason = "is not installed" if missing else f"does not load ({_line(error)})"
        raise BackendUnavailable("cupy", f"cupy {reason}", "pip install cupy-cuda13x.") from None
    try:
        total = int(library.arange(4).sum())
    except Exception as error:  # of cupy's runtime, which has classes of its own
        raise BackendUnavailable("cupy", f"cupy finds no GPU ({_line(error)})") from None
    if total != 6:
        raise BackendUnavailable("cupy", "cupy computes wrongly on this GPU")
    return f"cupy {library.__version__}"


def encoder() -> str:
    """Return the encoder's name, after it has encoded a few frames.

    Raises:
        BackendUnavailable: it is not built in, or the card or driver lacks it.
    """
    av = import_module("av")
    if ENCODER not in av.codec.codecs_available:
        raise BackendUnavailable(ENCODER, "this FFmpeg is built without it", _WHEEL)
    # FFmpeg tells why on standard error, in lines that a table has no place for.
    level = av.logging.get_level()
    av.logging.set_level(None)
    try:
        context = av.CodecContext.create(ENCODER, "w")
        context.width = context.height = _SIZE
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, 25)
        size = 0
        for index in range(_FRAMES):
            frame = av.VideoFrame(_SIZE, _SIZE, "yuv420p")
            frame.pts = index
            size += sum(packet.size for packet in context.encode(frame))
        size += sum(packet.size for packet in context.encode(None))
    except Exception as error:  # FFmpeg's errors, one class for each number
        raise BackendUnavailable(
            ENCODER, f"it does not open ({_line(error)})", "It needs an NVIDIA card and driver."
        ) from None
    finally:
        av.logging.set_level(level)
    if size == 0:
        raise BackendUnavailable(ENCODER, "it gives nothing")
    return f"{ENCODER}, opened"


_WHEEL = "Install PyAV from its wheel."


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
