"""Loads persons onto a device, and makes what runs their ticks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Feeds, Graph, Outputs
from visavis.engines.background import Background
from visavis.engines.composite import Feather
from visavis.engines.controls import Controls
from visavis.engines.cuda.buffers import FrameShape
from visavis.engines.cuda.device import Device
from visavis.engines.cuda.pipeline import CudaPipeline
from visavis.engines.cuda.pool import FramePool
from visavis.engines.cuda.resident import CLIP_BUDGET_BYTES, ResidentPerson
from visavis.engines.device import DeviceBackend
from visavis.engines.errors import EngineError
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Runner
from visavis.engines.stages import Stages, build_stages
from visavis.engines.variant_memory import VariantMemory
from visavis.engines.walk import Cue, FrameChoice, WalkState

__all__ = ["DRAWN", "ROOM", "CudaRunners"]

logger = logging.getLogger(__name__)

ROOM = 64  # frames in a batch on the device
DRAWN = frozenset({"linear@1", "planes@2", "graph@1", "feather@1", "walk@2"})
"""What a person's picture must be made with to be made on the device."""

U8 = NDArray[np.uint8]


class _Shown:
    """A person's walk for who has the frames on the device: only a matte is decoded here."""

    def __init__(self, background: Background) -> None:
        self._background = background

    def warm_up(self) -> None:
        """Nothing to do."""

    def initial_state(self, seed: int | None) -> WalkState:
        return self._background.walk.initial_state(seed)

    def look_ahead(self, state: WalkState) -> bool:
        return False

    def rest(self) -> None:
        self._background.rest()

    def step(self, state: WalkState, cue: Cue) -> FrameChoice:
        return self._background.step_matte(state, cue)

    def apply(self, state: WalkState, controls: Controls) -> None:
        self._background.apply(state, controls)

    def picture(self, choice: FrameChoice) -> U8:
        """Asked for only while variants are chosen, when the host makes pictures."""
        return self._background.picture(choice)

    def alpha(self, choice: FrameChoice) -> U8:
        return self._background.alpha(choice)

    def picture_and_alpha(self, choice: FrameChoice) -> tuple[U8, U8]:
        return self._background.picture_and_alpha(choice)


class _OnDevice:
    """Stands where the host's renderer was, whose memory is free again."""

    def run(self, feeds: Feeds) -> Outputs:
        raise EngineError("The renderer of this person runs on the device.")


class CudaRunners:
    """Makes runners that share a device: called with a person, it returns one.

    Args:
        device: where pictures are made.
        backend: what runs the networks, on the same device.
        room: frames in a batch there, at most.
        clip_budget_bytes: what one person's decoded clip may take.
        memory: which variants were fastest for persons of one kind.
    """

    def __init__(
        self,
        device: Device,
        backend: DeviceBackend,
        *,
        room: int = ROOM,
        clip_budget_bytes: int = CLIP_BUDGET_BYTES,
        memory: VariantMemory | None = None,
    ) -> None:
        self.name = f"{device.name}, {backend.name}"
        self._device = device
        self._backend = backend
        self._room = room
        self._clip_budget_bytes = clip_budget_bytes
        self._memory = memory or VariantMemory()
        self._pools: dict[FrameShape, FramePool] = {}
        self._lock = threading.Lock()

    def __call__(self, person: Person, *, variant: str | None = None) -> Runner:
        """Load a person.

        A person of other operations than `DRAWN` has its networks on the device; all else of it is
        made on the processor.

        Args:
            person: who.
            variant: as for `engines.pipeline.Pipeline`.

        Raises:
            PersonFileError: a stage or a network cannot be built, or does not run.
            EngineError: the clip takes more than it may.
            DeviceMemoryFull: the device has no room.
        """
        if not {spec.op for spec in person.stages.values()} >= DRAWN:
            logger.warning(
                "%s is not drawn on the device: it runs the networks, the processor the rest.",
                person.name,
            )
            return Pipeline(person, backend=self._backend, variant=variant, memory=self._memory)
        kept: dict[str, Graph] = {}
        held: list[Stages] = []

        def build(person: Person, graphs: Mapping[str, Graph]) -> Stages:
            stages = build_stages(person, graphs)
            kept.update(graphs)
            held.append(stages)
            changed = {field.name: getattr(stages, field.name) for field in fields(stages)}
            assert isinstance(stages.background, Background)
            return Stages(**{**changed, "background": _Shown(stages.background)})

        host = Pipeline(
            person, backend=self._backend, variant=variant, memory=self._memory, _build=build
        )
        stages, name = held[0], person.stages["render"].params["graph"]
        kept[name].graph = _OnDevice()  # type: ignore[attr-defined]
        file = person.graphs[name].variants[host.chosen[name]]
        graph = self._backend.load_device(file, person.parts[file], max_batch=self._room)
        assert isinstance(stages.background, Background) and isinstance(stages.composite, Feather)
        resident = ResidentPerson(
            self._device,
            person,
            stages.background,
            stages.composite,
            graph,
            takes_coefficients=stages.render.coefficients is not None,
            clip_budget_bytes=self._clip_budget_bytes,
        )
        try:
            pool = self._pool(FrameShape(person.width, person.height, resident.size))
            pool.admit(resident)
        except BaseException:
            resident.close()
            raise
        host.rest()
        return CudaPipeline(host, resident, pool)

    def _pool(self, shape: FrameShape) -> FramePool:
        with self._lock:
            if shape not in self._pools:
                self._pools[shape] = FramePool(self._device, shape, self._room)
            return self._pools[shape]

    def close(self) -> None:
        """Give back everything but the persons; no runner may be used any more."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
