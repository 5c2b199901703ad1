"""What is in a person file, for people and for programs; `visavis info` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.engines.person import Person

__all__ = ["describe", "lines"]


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
        "licence": manifest["licence"],
        "notices": manifest["notices"],
        "contains_licensed": person.contains_licensed,
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
        f"  licensed    {'yes, see the notices' if d['contains_licensed'] else 'no'}",
    ]
    text += _mapping("consent", d["consent"])
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


def _mapping(label: str, value: Mapping[str, Any]) -> list[str]:
    return [
        f"  {label if index == 0 else '':<11} {key}: {_short(item)}"
        for index, (key, item) in enumerate(value.items())
    ]


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
