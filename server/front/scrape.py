"""The metrics of all processes as one page: each worker's own, with its number as a label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from visavis.server.front.fleet import Fleet

__all__ = ["FleetCollector", "merge"]

OF_THE_FRONT = {"visavis_sessions_opened", "visavis_sessions_refused", "visavis_answer_seconds"}
"""What a visitor was answered. The front knows; a worker counts an offer that another one took."""


def merge(front: bytes, workers: Iterable[tuple[int, bytes]]) -> bytes:
    """One exposition of many.

    Args:
        front: the front's own.
        workers: number and exposition of each; the samples get the label ``worker``.
    """
    families: dict[str, Metric] = {}
    for label, text in ((None, front), *((str(number), text) for number, text in workers)):
        for family in text_string_to_metric_families(text.decode()):
            if label is not None and _base(family.name) in OF_THE_FRONT:
                continue
            found = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            found.samples.extend(_labelled(family.samples, label))
    registry = CollectorRegistry()
    registry.register(_Families(list(families.values())))
    return generate_latest(registry)


def _base(name: str) -> str:
    return name.removesuffix("_created")


def _labelled(samples: Iterable[Sample], worker: str | None) -> Iterator[Sample]:
    for sample in samples:
        if worker is None:
            yield sample
        else:
            yield sample._replace(labels={"worker": worker, **sample.labels})


class _Families:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class FleetCollector:
    """Who is there."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        """Called for each exposition."""
        fleet = self._fleet
        up = GaugeMetricFamily(
            "visavis_process_up", "1 for a process that is ready.", labels=["process"]
        )
        restarts = CounterMetricFamily(
            "visavis_process_restarts", "How often it was started again.", labels=["process"]
        )
        processes = {"engine": fleet.engine} | {
            f"worker-{number}": one for number, one in enumerate(fleet.supervised)
        }
        for name, one in processes.items():
            up.add_metric([name], one.up)
            restarts.add_metric([name], one.restarts)
        yield up
        yield restarts
        yield GaugeMetricFamily(
            "visavis_places_sessions",
            "What the workers that are there may hold together.",
            value=fleet.placement.places,
        )
        yield GaugeMetricFamily(
            "visavis_places_taken_sessions",
            "Of these, taken by a session or by an offer that is being answered.",
            value=fleet.placement.taken,
        )
