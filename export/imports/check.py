"""Whether an imported person does what it should, where nobody has filmed what that looks like.

The networks of the file are compared with torch on what a session fed them; their outputs must be
finite; a voice must move the mouth. What is wrong is refused, what is odd is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from visavis.engines.agreement import BOUNDS, compare, past
from visavis.engines.backend import Feeds
from visavis.engines.person import Person
from visavis.engines.reference_parts import MAX_BYTES
from visavis.engines.references import Reference, expanded, replay
from visavis.engines.verify import Verdict, as_json, run_variant, table
from visavis.export.imports.activations import Largest, watched
from visavis.export.imports.contact_sheet import contact_sheet
from visavis.export.imports.draft import Draft
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.onnx_graph import LARGEST_HALF, rounded, run_module
from visavis.export.imports.rehearsal import Rehearsal, ranges, rehearse
from visavis.export.plain_backend import PlainBackend
from visavis.export.references import rows_reference
from visavis.export.renderer import has_half_weights

__all__ = ["Checked", "check_import"]

F32 = NDArray[np.float32]
Arrays = dict[str, dict[str, NDArray[np.generic]]]

LEAST_MOVED = 1.0  # levels, mean of the mouth's pixels over frames: less is not seen
REAL_TIME_S = 0.08  # of a picture of both sessions


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        verdicts: on every network that torch has, compared with it.
        references: for the person file, by graph.
        report: as JSON.
        warnings: sentences.
        sheet: a PNG: frames with the voice and without.
    """

    verdicts: tuple[Verdict, ...]
    references: dict[str, Arrays]
    report: dict[str, Any]
    warnings: tuple[str, ...]
    sheet: bytes

    def lines(self) -> list[str]:
        """Return the report for a terminal."""
        text = list(table(self.verdicts)) if self.verdicts else []
        for name, outputs in self.report["ranges"].items():
            of = ", ".join(f"{key} {low:.4g} to {high:.4g}" for key, (low, high) in outputs.items())
            text.append(f"{name}: {of}")
        for name, largest in self.report["largest"].items():
            text.append(f"{name}: largest value inside {largest['value']:.4g} ({largest['layer']})")
        moved = self.report["mouth"]["moved"]
        text.append(f"mouth: a voice moves it by {moved:.2f} levels")
        return [*text, *(f"Note: {warning}" for warning in self.warnings)]


class _ModuleGraph:
    """A torch network as a graph, without a copy of its weights."""

    def __init__(self, module: nn.Module, inputs: list[str], outputs: list[str]) -> None:
        self._module, self._inputs, self._outputs = module, inputs, outputs

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        """See `backend.Graph`."""
        return run_module(self._module, dict(feeds), self._inputs, self._outputs)


def check_import(
    person: Person,
    draft: Draft,
    *,
    voice: F32 | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Checked:
    """Try a person that was imported.

    Args:
        person: without references.
        draft: that it was made of.
        voice: f32[n], 16 kHz, to be heard instead of our own babble.
        say: called with a sentence before each step.

    Raises:
        ImportRefused: it does not run, gives what is not finite, or a network of the file is not
            what torch computes.
    """
    say("Letting the person hear a voice.")
    seen = rehearse(person, voice)
    found = ranges(person, seen.graphs)
    warnings: list[str] = []
    verdicts: list[Verdict] = []
    references: dict[str, Arrays] = {}
    largest: dict[str, Largest] = {}
    room = MAX_BYTES - _kept_already(person)
    # Small ones first: a large one that does not fit leaves the others what they need.
    for name in sorted(draft.modules, key=lambda name: _bytes(person, name)):
        if name not in seen.graphs:
            continue
        say(f"Comparing the network {name!r} with torch.")
        module, inputs, outputs = draft.modules[name]
        spec = person.graphs[name]
        half = has_half_weights(person.parts[spec.variants["fp32"]])
        exact, module = module, rounded(module) if half else module
        states = {before for before, _ in spec.state}, {after for _, after in spec.state}
        recorded = seen.graphs[name]
        rows = Reference(
            {key: array for key, array in recorded.inputs.items() if key not in states[0]},
            {key: array for key, array in recorded.outputs.items() if key not in states[1]},
        )
        with watched(module) as largest[name]:
            graph = _ModuleGraph(module, inputs, outputs)
            arrays = rows_reference(graph, spec, rows, room)
            kept = arrays is not None
            if arrays is None:
                arrays = rows_reference(graph, spec, rows, 1 << 40)
        assert arrays is not None
        if (layer := largest[name].damaged) is not None:
            raise ImportRefused(
                f"The network {name!r} computes what is not finite in its layer {layer!r}; its "
                "weights do not fit, or are damaged."
            )
        reference = _reference(person, name, arrays)
        verdict = run_variant(person, name, "fp32", PlainBackend(), reference, repeats=0)
        if verdict.past:
            raise ImportRefused(
                f"The network {name!r} of the file is not what torch computes: {verdict.past}."
            )
        verdicts.append(verdict)
        if half:
            whole = replay(_ModuleGraph(exact, inputs, outputs), spec, reference.inputs)
            if words := past(compare(whole, reference.outputs), BOUNDS["fp16"]):
                warnings.append(
                    f"Weights in 16 bits change what the network {name!r} gives: {words}."
                )
        if kept:
            references[name] = arrays
            room -= sum(array.nbytes for side in arrays.values() for array in side.values())
        else:
            warnings.append(
                f"The network {name!r} is too large for references; `visavis verify` leaves it out."
            )
    warnings += _overflows(largest)
    mouth = _mouth(seen, draft)
    if mouth["moved"] < LEAST_MOVED:
        warnings.append(
            f"The mouth does not move with the voice: {mouth['moved']:.2f} levels between speech "
            "and silence."
        )
    if seen.seconds > REAL_TIME_S:
        warnings.append(
            f"A picture takes about {seen.seconds / 2:.2f} s on this processor: live, most are "
            "skipped without a GPU."
        )
    report = {
        "networks": as_json(verdicts),
        "ranges": {
            name: {key: [low, high] for key, (low, high) in outputs.items()}
            for name, outputs in found.items()
        },
        "largest": {
            name: {"value": one.value, "layer": one.layer} for name, one in largest.items()
        },
        "mouth": mouth,
        "warnings": warnings,
    }
    return Checked(
        tuple(verdicts), references, report, tuple(warnings), contact_sheet(seen, draft.mouth)
    )


def _kept_already(person: Person) -> int:
    """Return bytes of the references that came with a graph, as the native motion's do."""
    return sum(
        person.arrays[file].nbytes
        for spec in person.graphs.values()
        if spec.reference is not None
        for side in (spec.reference.inputs, spec.reference.outputs)
        for file in side.values()
    )


def _bytes(person: Person, name: str) -> int:
    spec = person.graphs[name]
    return sum(int(np.prod(shape)) for shape in [*spec.inputs.values(), *spec.outputs.values()])


def _reference(person: Person, name: str, arrays: Arrays) -> Reference:
    spec = person.graphs[name]
    inputs = {key: expanded(array, spec.inputs[key]) for key, array in arrays["inputs"].items()}
    return Reference(inputs, arrays["outputs"])


def _overflows(largest: dict[str, Largest]) -> list[str]:
    return [
        f"The network {name!r} would overflow in 16-bit floats: {one.value:.3g} in its layer "
        f"{one.layer!r}, and {LARGEST_HALF:.0f} is the most; keep it in 32 bits on a GPU, too."
        for name, one in largest.items()
        if one.value > LARGEST_HALF
    ]


def _mouth(seen: Rehearsal, draft: Draft) -> dict[str, float]:
    """Return how far a voice moves the mouth and the rest of the crop, in levels."""
    left, top, right, bottom = draft.mouth
    apart = np.abs(seen.spoken_crops.astype(np.float32) - seen.silent_crops.astype(np.float32))
    box = apart[:, top:bottom, left:right]
    if not box.size:
        raise ImportRefused(f"The mouth {draft.mouth} does not lie in the crop.")
    rest = apart.sum(axis=(1, 2)) - box.sum(axis=(1, 2))
    outside = apart[0].size - box[0].size
    return {
        "moved": float(box.mean()),
        "most": float(box.mean(axis=(1, 2)).max()),
        "elsewhere": float(rest.mean() / outside) if outside else 0.0,
    }
