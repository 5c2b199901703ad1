"""NVIDIA's TensorRT, if it is there: version 10 or 11, by one code path.

Version 11 knows strongly typed networks alone and has dropped what 10 still had beside them: the
flags for precisions and for an explicit batch. So every network is typed by its graph, and nothing
is asked for that only one of the two has. What is called here and in `tensorrt_build` and
`tensorrt_graph` exists in the bindings of 10.16 and of 11.4.
https://docs.nvidia.com/deeplearning/tensorrt/latest/api/migration-guide.html
"""

from __future__ import annotations

from collections import deque
from importlib import import_module
from typing import Any

from visavis.engines.errors import BackendUnavailable

__all__ = ["NAME", "Complaints", "load_tensorrt"]

NAME = "tensorrt"
MAJORS = (10, 11)
INSTALL = "pip install 'tensorrt>=10.16,<12'."
_KEPT = 4


def load_tensorrt() -> Any:
    """Return the module `tensorrt`.

    Raises:
        BackendUnavailable: it is missing, incomplete, or of another major version.
    """
    try:
        library = import_module("tensorrt")
    except ModuleNotFoundError:
        raise BackendUnavailable(NAME, "TensorRT is not installed", INSTALL) from None
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BackendUnavailable(NAME, f"TensorRT does not load ({reason})", INSTALL) from None
    version = str(getattr(library, "__version__", "?"))
    major = version.split(".")[0]
    if not major.isdigit() or int(major) not in MAJORS:
        raise BackendUnavailable(
            NAME, f"TensorRT {version[:20]} is installed, and 10 or 11 is needed", INSTALL
        )
    return library


class Complaints:
    """What TensorRT says of errors, kept for the sentence that tells of them.

    Args:
        library: the module.

    Attributes:
        logger: to give to TensorRT; it must outlive all that is made with it.
    """

    def __init__(self, library: Any) -> None:
        said: deque[str] = deque(maxlen=_KEPT)
        grave = (library.ILogger.Severity.ERROR, library.ILogger.Severity.INTERNAL_ERROR)

        class Logger(library.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                library.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                if severity in grave:
                    said.append(msg)

        self.logger = Logger()
        self._said = said

    def first(self, otherwise: str) -> str:
        """Return the first of the last errors, shortened, and forget them.

        The later ones follow from the first.
        """
        words = self._said[0] if self._said else otherwise
        self._said.clear()
        return words.splitlines()[0][:200].rstrip(". ")
