"""Our own motion for a person of a published system: any language, 40 to 200 ms of look-ahead.

The network is the built-in person's, which learnt from synthetic voices and from nobody; a
`LipMap` says what its moves are in the system's coefficients.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from visavis.engines.npy import dump_array
from visavis.export.imports.draft import Draft
from visavis.export.imports.hearing import built_in
from visavis.export.imports.lip_map import LipMap

__all__ = ["NativeMotion", "move_natively", "native_motion"]


@dataclass(frozen=True, slots=True)
class NativeMotion:
    """What a draft takes.

    Attributes:
        stages: "audio" and "motion" of person.json; graphs: "motion".
        parts: by name.
        lookahead_ms: of a session that asks for none.
    """

    stages: dict[str, dict[str, Any]]
    graphs: dict[str, dict[str, Any]]
    parts: dict[str, bytes]
    lookahead_ms: int


def native_motion(lips: LipMap) -> NativeMotion:
    """Return the stages `logmel@1` and `tract@2` of a person, with the network and its reference.

    Args:
        lips: the person's.
    """
    person = built_in()
    document = person.manifest
    stages = {name: copy.deepcopy(dict(document["stages"][name])) for name in ("audio", "motion")}
    graph = copy.deepcopy(dict(document["graphs"]["motion"]))
    files = [*graph["variants"].values()]
    for kept in graph.get("reference", {}).values():
        files += kept.values()
    parts = {name: person.parts[name] for name in files}
    roles = {role: f"motion/{role}.npy" for role in ("rest", "map", "closed", "liptooth")}
    stages["motion"]["parts"] = roles
    for role, array in lips.parts().items():
        parts[roles[role]] = dump_array(array)
    return NativeMotion(stages, {"motion": graph}, parts, person.lookahead_ms)


def move_natively(made: Draft, lips: LipMap) -> None:
    """Let our own network move the mouth of a draft, and say so in its settings.

    Args:
        made: changed in place; it has "settings" in `made_by`.
        lips: the person's.
    """
    own = native_motion(lips)
    made.stages.update(own.stages)
    made.graphs.update(own.graphs)
    made.parts.update(own.parts)
    made.lookahead_ms = own.lookahead_ms
    made.made_by["settings"]["lips"] = lips.about
