"""Which variant of a graph was fastest, so that a second person of its kind is not timed again.

What a variant takes depends on the graph's architecture and on the machine; whether it agrees with
fp32 depends on the person's own weights. So speed is remembered, and agreement is checked for
each person.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from visavis.engines.backend import Feeds, Graph, VariantReport, choose_variant, compare_outputs
from visavis.engines.person import Person
from visavis.engines.person_manifest import GraphSpec

__all__ = ["VariantMemory", "graph_kind", "person_kind"]

logger = logging.getLogger(__name__)

MAX_KINDS = 64


def graph_kind(person: Person, spec: GraphSpec) -> str:
    """Return a name for graphs that cost the same: same shapes, same variants, same sizes.

    Two graphs of one architecture have it in common. Others hardly ever do, and if they did, only
    speed would be taken for granted.
    """
    about = {
        "inputs": {name: list(shape) for name, shape in spec.inputs.items()},
        "outputs": {name: list(shape) for name, shape in spec.outputs.items()},
        "variants": {key: len(person.parts[file]) for key, file in sorted(spec.variants.items())},
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def person_kind(person: Person) -> str:
    """Return a name for persons who cost the same: their graphs, operations and sizes do."""
    about = [
        [person.width, person.height],
        sorted(stage.op for stage in person.stages.values()),
        sorted((name, graph_kind(person, spec)) for name, spec in person.graphs.items()),
    ]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


class VariantMemory:
    """Remembers choices; any thread may use it. The kinds that were asked for last are kept."""

    def __init__(self) -> None:
        self._usual: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def choose(
        self,
        name: str,
        kind: str,
        variants: Sequence[str],
        load: Callable[[str], Graph],
        probes: Sequence[Feeds],
    ) -> tuple[Graph, tuple[VariantReport, ...]]:
        """Return the variant to run, and what was measured: nothing, where it was remembered.

        Args:
            name: the graph's name, for the log.
            kind: its `graph_kind`.
            variants: those that the person has; fp32 is among them.
            load: makes a variant ready; what is not needed is not asked for.
            probes: inputs as the stages make them.
        """
        with self._lock:
            usual = self._usual.get(kind)
        reference = load("fp32")
        if usual == "fp32":
            return reference, ()
        if usual is not None:
            graph = load(usual)
            wanted = [reference.run(feeds) for feeds in probes]
            agreed, deviation = compare_outputs(wanted, [graph.run(feeds) for feeds in probes])
            if agreed:
                return graph, ()
            logger.info("graph %s: %s does not agree here (%s)", name, usual, deviation)
        candidates = {key: reference if key == "fp32" else load(key) for key in variants}
        graph, reports = choose_variant(name, candidates, probes)
        chosen = next(report.variant for report in reports if report.chosen)
        with self._lock:
            # A person whose weights refuse the usual variant says nothing about the others.
            self._usual.setdefault(kind, chosen)
            self._usual.move_to_end(kind)
            while len(self._usual) > MAX_KINDS:
                self._usual.popitem(last=False)
        return graph, reports
