"""What is in a person file, for people and for programs; `visavis info` prints it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from visavis.engines.consent import consent_of
from visavis.engines.person import Person
from visavis.engines.share import licensed_reason

__all__ = ["describe", "lines"]

WIDTH = 86  # of what stands beside a label
UNSTATED = "none is stated: visavis serve and render refuse it without --i-have-consent"


def describe(person: Person) -> dict[str, Any]:
    """Return what a person file says of itself, as JSON."""
    manifest = person.manifest
    return {
        "name": person.name,
        "display_name": person.display_name,
        "id": person.id,
        "system": person.system,
        "format": manifest["format"],
        "width": person.width,
        "height": person.height,
        "fps": person.fps,
        "has_matte": person.matte is not None,
        "face": None if person.face is None else list(person.face),
        "lookahead_ms": person.lookahead_ms,
        "lookaheads_ms": list(person.lookaheads_ms),
        "requires": list(manifest["requires"]),
        "graphs": {
            name: {
                "inputs": {key: ["N", *shape] for key, shape in graph.inputs.items()},
                "outputs": {key: ["N", *shape] for key, shape in graph.outputs.items()},
                "variants": {key: len(person.parts[file]) for key, file in graph.variants.items()},
            }
            for name, graph in person.graphs.items()
        },
        "parts": {name: len(part) for name, part in sorted(person.parts.items())},
        "bytes": sum(map(len, person.parts.values())),
        "consent": manifest["consent"],
        "consent_stated": consent_of(manifest).stated,
        "licence": manifest["licence"],
        "notices": manifest["notices"],
        "contains_licensed": person.contains_licensed,
        "licensed_because": licensed_reason(person),
        "made_by": manifest["made_by"],
    }


def lines(description: Mapping[str, Any]) -> list[str]:
    """Return a description as lines for a terminal."""
    d = description
    text = [
        f"{d['display_name']} ({d['name']}), made with {d['system']}",
        f"  picture     {d['width']}x{d['height']}, {d['fps']} frames/s, looks "
        f"{d['lookahead_ms']} ms ahead" + _others(d["lookaheads_ms"], d["lookahead_ms"]),
        f"  licence     {d['licence']}",
    ]
    text += _labelled("look", _look(d))
    reason = d["licensed_because"] or "see the notices"
    text += _labelled("licensed", f"yes, {reason}" if d["contains_licensed"] else "no")
    text += _mapping("consent", d["consent"])
    if not d["consent_stated"]:
        text += _labelled("" if d["consent"] else "consent", UNSTATED)
    text += _mapping("made by", d["made_by"])
    text.append(f"  operations  {', '.join(d['requires'])}")
    for name, graph in d["graphs"].items():
        sizes = ", ".join(f"{key} {_size(size)}" for key, size in graph["variants"].items())
        text.append(f"  graph       {name}: {sizes}")
    text.append(f"  size        {_size(d['bytes'])} in {len(d['parts'])} parts")
    text.append(f"  id          {d['id']}")
    text += [f"  notice      {line}" for line in d["notices"].splitlines() if line.strip()]
    return text


def _others(lookaheads_ms: list[int], own: int) -> str:
    others = ", ".join(str(ms) for ms in lookaheads_ms if ms != own)
    return f" ({others} on demand)" if others else ""


def _look(d: Mapping[str, Any]) -> str:
    matte = "a matte: other backgrounds" if d["has_matte"] else "no matte: the background as filmed"
    if d["face"] is None:
        return matte
    x, y, height = d["face"]
    return f"{matte}; the face at {x:.0%} of the width, {y:.0%} of the height, {height:.0%} high"


def _mapping(label: str, value: Mapping[str, Any]) -> list[str]:
    text: list[str] = []
    for key, item in value.items():
        text += _labelled("" if text else label, f"{key}: {_short(item)}")
    return text


def _labelled(label: str, words: str) -> list[str]:
    wrapped = textwrap.wrap(words, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return [f"  {'' if index else label:<11} {line}" for index, line in enumerate(wrapped)]


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_nested(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(map(_nested, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def _nested(value: object) -> str:
    return f"({_short(value)})" if isinstance(value, Mapping | list) else _short(value)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
