"""What runs the networks of a person, behind two small interfaces.

A backend turns a part's bytes into something that runs. Which variant of a graph it should run
(fp32, fp16, int8) is measured here, on inputs that the person's own stages made: a variant is taken
when it is clearly faster and agrees with fp32. Int8 needs VNNI: without it, x86 adds products of
8-bit numbers in saturating 16-bit registers, and the picture is wrong in a way that no error shows.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.engines.processor import lacks_vnni

__all__ = [
    "VARIANTS",
    "Backend",
    "Feeds",
    "Graph",
    "Outputs",
    "VariantReport",
    "choose_variant",
    "compare_outputs",
    "variants_of",
]

logger = logging.getLogger(__name__)

Feeds = Mapping[str, NDArray[np.float32]]
Outputs = dict[str, NDArray[np.generic]]

VARIANTS = frozenset({"fp32", "fp16", "int8"})
# Differences from fp32 that a person file's variant may have. Pictures, in levels of 255: 2 is
# 42 dB, and no small region may be far off. Other outputs, as a share of their own range.
MAX_RMS_LEVELS = 2.0
MAX_TAIL_LEVELS = 16.0
MAX_SHARE_OF_RANGE = 0.02
TAIL = 0.999
MIN_SPEEDUP = 1.1
MEASURED_RUNS = 7


class Graph(Protocol):
    """A network that is ready to run."""

    def run(self, feeds: Feeds) -> Outputs:
        """Return every output by name; the arrays belong to the caller.

        Args:
            feeds: every input by name, f32[N, ...], C order; N is free.
        """


class Backend(Protocol):
    """Makes networks ready to run on one kind of device."""

    @property
    def name(self) -> str:
        """Name of the device, for logs and `visavis doctor`."""

    def load(self, name: str, model: bytes) -> Graph:
        """Make a network ready.

        Args:
            name: the part's name, for messages.
            model: an ONNX model.

        Raises:
            PersonFileError: the runtime refuses the model.
        """


def variants_of(backend: Backend) -> frozenset[str]:
    """Return the variants that a backend runs: all, unless its attribute `variants` names some.

    fp32 is always among them. A GPU has nothing of a graph whose integers are for a processor.
    """
    named: frozenset[str] = getattr(backend, "variants", VARIANTS)
    return named | {"fp32"}


@dataclass(frozen=True, slots=True)
class VariantReport:
    """What a measurement said of one variant of a graph.

    Attributes:
        variant: fp32, fp16 or int8.
        milliseconds: the fastest of several runs.
        deviation: a sentence on how it differs from fp32, "" for fp32 itself.
        accepted: it agrees with fp32.
        chosen: it is the one that runs.
    """

    variant: str
    milliseconds: float
    deviation: str
    accepted: bool
    chosen: bool


def compare_outputs(reference: Sequence[Outputs], other: Sequence[Outputs]) -> tuple[bool, str]:
    """Say whether outputs agree within the bounds above, and how they differ."""
    agreed, words = True, []
    for name in reference[0]:
        a = np.concatenate([outputs[name].ravel() for outputs in reference]).astype(np.float64)
        b = np.concatenate([outputs[name].ravel() for outputs in other]).astype(np.float64)
        difference = np.abs(a - b)
        if not np.isfinite(difference).all():
            return False, f"{name} is not finite"
        rms, tail = float(np.sqrt(np.mean(difference**2))), float(np.quantile(difference, TAIL))
        if reference[0][name].dtype == np.uint8:
            agreed &= rms <= MAX_RMS_LEVELS and tail <= MAX_TAIL_LEVELS
            words.append(f"{name} rms {rms:.2f} levels, 99.9 % within {tail:.0f}")
        else:
            share = float(difference.max()) / max(float(np.ptp(a)), 1e-3)
            agreed &= share <= MAX_SHARE_OF_RANGE
            words.append(f"{name} at most {share:.2%} of its range")
    return agreed, "; ".join(words)


def choose_variant(
    name: str,
    candidates: Mapping[str, Graph],
    probes: Sequence[Feeds],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Graph, tuple[VariantReport, ...]]:
    """Return the fastest variant that agrees with fp32, and what was measured.

    Args:
        name: the graph's name, for the log.
        candidates: the variants by name; fp32 is among them.
        probes: inputs as the stages make them, each of the batch size that matters.
        clock: seconds.
    """
    wanted = [candidates["fp32"].run(feeds) for feeds in probes]
    milliseconds = _milliseconds(candidates, probes, clock)
    measured: dict[str, tuple[float, bool, str]] = {}
    for variant, graph in candidates.items():
        agreed, deviation = True, ""
        if variant != "fp32":
            agreed, deviation = compare_outputs(wanted, [graph.run(feeds) for feeds in probes])
        measured[variant] = milliseconds[variant], agreed, deviation
    best = "fp32"
    for variant, (taken, agreed, _) in measured.items():
        bar = measured[best][0] / (MIN_SPEEDUP if best == "fp32" else 1.0)
        if agreed and variant != best and taken < bar:
            best = variant
    reports = tuple(
        VariantReport(variant, taken, deviation, agreed, variant == best)
        for variant, (taken, agreed, deviation) in measured.items()
    )
    for report in reports:
        logger.info(
            "graph %s: %s takes %.2f ms%s%s",
            name,
            report.variant,
            report.milliseconds,
            f" ({report.deviation})" if report.deviation else "",
            "" if report.accepted else f": refused, it differs too much from fp32{_why(report)}",
        )
    return candidates[best], reports


def _why(report: VariantReport) -> str:
    if report.variant == "int8" and lacks_vnni():
        return ": this processor has no VNNI, without which sums of bytes saturate"
    return ""


def _milliseconds(
    candidates: Mapping[str, Graph], probes: Sequence[Feeds], clock: Callable[[], float]
) -> dict[str, float]:
    """Return each variant's fastest run, taken in turns: a busy machine only ever adds time."""
    fastest = dict.fromkeys(candidates, math.inf)
    for index in range(MEASURED_RUNS):
        feeds = probes[index % len(probes)]
        for variant, graph in candidates.items():
            start = clock()
            graph.run(feeds)
            fastest[variant] = min(fastest[variant], (clock() - start) * 1000.0)
    return fastest
