"""The engine that serves: made here for a server of one process, or in the engine process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from visavis.engines.client import EngineClient
    from visavis.engines.device import DeviceBackend

__all__ = ["engine_settings", "make_engine"]

logger = logging.getLogger(__name__)

# Of an engine whose frames are made on a GPU. Two threads: one prepares a batch while the other's
# is drawn. A batch waits so long for the rest of its phase group.
GPU_THREADS, GPU_GATHER_S = 2, 0.002


def engine_settings(
    *,
    persons: list[str],
    folder: str | None,
    promised: bool,
    backend: str,
    sessions: int | None,
    memory_mib: int | None,
) -> dict[str, Any]:
    """What :func:`make_engine` is told, as JSON can say it.

    Args:
        persons: built-in persons' names, or paths; the first is the default.
        folder: all persons in it can be shown too; None for no folder.
        promised: whoever runs this has the consent that a file may not state.
        backend: what runs the networks, or auto.
        sessions: to admit; None for as many as are measured to fit.
        memory_mib: what loaded persons may take; None for a share of what is free.
    """
    return {
        "persons": persons,
        "folder": folder,
        "promised": promised,
        "backend": backend,
        "sessions": sessions,
        "memory_mib": memory_mib,
    }


def make_engine(settings: Mapping[str, Any]) -> EngineClient:
    """Load the persons that were named, and get ready for the others.

    Raises:
        ConfigError: the folder is none, or the backend does not work here.
        BackendUnavailable: the backend runs on a GPU, and frames cannot be made there.
        PersonFileError: a person that was named is refused.
    """
    from visavis.engines.backends import choose
    from visavis.engines.errors import BackendUnavailable
    from visavis.engines.file_catalogue import FileCatalogue, PersonSource
    from visavis.engines.local import LocalEngine
    from visavis.engines.pipeline import Pipeline
    from visavis.engines.variant_memory import VariantMemory
    from visavis.persons import BUILTIN, builtin

    sources = [
        PersonSource(str(builtin(name)), trusted=True) if name in BUILTIN else PersonSource(name)
        for name in settings["persons"]
    ]
    folder = settings["folder"]
    catalogue = FileCatalogue(
        sources, None if folder is None else Path(folder), promised=settings["promised"]
    )
    backend = choose(settings["backend"])
    memory = settings["memory_mib"]
    engine = partial(
        LocalEngine,
        catalogue,
        capacity=settings["sessions"],
        memory_bytes=None if memory is None else memory << 20,
    )
    on_processor = partial(Pipeline, backend=backend, memory=VariantMemory())
    if not draws_on_gpu(backend.name):
        return engine(make_runner=on_processor)
    from visavis.engines.cuda.cupy_device import CupyDevice
    from visavis.engines.cuda.runners import ROOM, CudaRunners

    try:
        device = CupyDevice()
    except BackendUnavailable as problem:
        if settings["backend"] != "auto":
            raise
        logger.warning("%s The GPU runs networks only; all else is made on the processor.", problem)
        return engine(make_runner=on_processor)
    return engine(
        make_runner=CudaRunners(device, cast("DeviceBackend", backend)),
        threads=GPU_THREADS,
        max_batch=ROOM,
        gather_s=GPU_GATHER_S,
        shares_cores=False,
    )


def draws_on_gpu(backend: str) -> bool:
    """Whether a backend of that name runs on a GPU, where frames are then made, too."""
    return not backend.partition(" ")[0].endswith("-cpu")
