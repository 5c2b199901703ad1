"""Do a person's networks compute on this machine what the trained ones computed?

Each variant of each graph is run on each backend on the inputs that the person file keeps
(`references`), and compared with what the trained network made of them. What it takes is measured
and told, not judged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from visavis.engines.agreement import BOUNDS, Figures, compare, past, worst_of
from visavis.engines.backend import Backend, variants_of
from visavis.engines.errors import DeviationError, PersonFileError
from visavis.engines.person import Person
from visavis.engines.processor import lacks_vnni
from visavis.engines.references import Outputs, Reference, reference_of, replay

__all__ = ["Verdict", "as_json", "require", "table", "verify"]

BATCH = 4
REPEATS = 5  # of every row, once the outputs are known: for the median


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one variant of one graph on one backend.

    Attributes:
        graph: its name; "frames" for the whole pipeline's.
        variant: fp32, fp16 or int8.
        backend: its name.
        figures: how far it is off; infinite where it was refused.
        bound: how far it may be.
        milliseconds: the median of a row: a frame, or a tick.
        refused: why the backend does not run it; "" where it does.
    """

    graph: str
    variant: str
    backend: str
    figures: Figures
    bound: Figures
    milliseconds: float
    refused: str = ""

    @property
    def past(self) -> str:
        """What is wrong, in words; "" where nothing is."""
        words = self.refused or past(self.figures, self.bound)
        if words and not self.refused and self.variant == "int8" and lacks_vnni():
            words += ": this processor has no VNNI, without which sums of bytes saturate"
        return words


def verify(person: Person, backends: Sequence[Backend]) -> list[Verdict]:
    """Run and compare everything, but for variants that are not for a backend.

    Args:
        person: with references.
        backends: those that this machine has.

    Raises:
        PersonFileError: the file keeps no references.
    """
    references = {name: reference_of(person, name) for name in person.graphs}
    if not any(references.values()):
        raise PersonFileError(
            f"The file of {person.name!r} keeps nothing to compare its networks with: it was made "
            "before `visavis export` wrote references; export it anew."
        )
    return [
        run_variant(person, name, variant, backend, reference)
        for name, reference in references.items()
        if reference is not None
        for variant in person.graphs[name].variants
        for backend in backends
        if variant in variants_of(backend)
    ]


def run_variant(
    person: Person,
    name: str,
    variant: str,
    backend: Backend,
    reference: Reference,
    *,
    clock: Callable[[], float] = time.perf_counter,
    repeats: int = REPEATS,
) -> Verdict:
    """Run one variant of one graph and compare it.

    Args:
        repeats: further runs of every row, for the time that it takes.
    """
    spec = person.graphs[name]
    file = spec.variants[variant]
    verdict = Verdict(
        name, variant, backend.name, Figures(*[math.inf] * 4), BOUNDS[variant], math.nan
    )
    try:
        graph = backend.load(file, person.parts[file])
    except PersonFileError as error:
        return replace(verdict, refused=str(error))
    seconds: list[float] = []

    def timed(run: Callable[[], Outputs]) -> Outputs:
        start = clock()
        outputs = run()
        seconds.append(clock() - start)
        return outputs

    try:
        found = [compare(reference.outputs, replay(graph, spec, reference.inputs, watch=timed))]
        if not spec.state:
            # Batches may take other kernels.
            rows = {name: array[:BATCH] for name, array in reference.inputs.items()}
            wanted = {name: array[:BATCH] for name, array in reference.outputs.items()}
            found.append(compare(wanted, graph.run(rows)))
        for _ in range(repeats):
            replay(graph, spec, reference.inputs, watch=timed)
    except Exception as error:  # runtimes raise classes that they do not export
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return replace(verdict, refused=f"it does not run: {reason}")
    return replace(
        verdict, figures=worst_of(found), milliseconds=1000.0 * float(np.median(seconds))
    )


def require(verdicts: Sequence[Verdict]) -> None:
    """Refuse what is past its bound.

    Raises:
        DeviationError: something is.
    """
    for verdict in verdicts:
        if verdict.past:
            raise DeviationError(verdict.graph, verdict.variant, verdict.past)


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """Return verdicts as lines for a terminal."""
    width = max(len("backend"), *(len(verdict.backend) for verdict in verdicts))
    head = f"{'graph':<10}{'variant':<9}{'backend':<{width}}"
    text = [head + "".join(f"{label:>16}" for label in ("mean", "rms", "99.9 %", "largest"))]
    text[0] += f"{'ms':>9}"
    for verdict in verdicts:
        text.append(
            f"{verdict.graph:<10}{verdict.variant:<9}{verdict.backend:<{width}}"
            + "".join(
                f"{f'{value:.3f} of {most:g}':>16}"
                for value, most in zip(
                    asdict(verdict.figures).values(), asdict(verdict.bound).values(), strict=True
                )
            )
            + f"{verdict.milliseconds:>9.2f}  "
            + (verdict.past or "ok")
        )
    return text


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return verdicts as JSON: numbers that are not finite become null."""
    return [
        {**_finite(asdict(verdict)), "past": verdict.past, "ok": not verdict.past}
        for verdict in verdicts
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
