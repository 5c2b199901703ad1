"""How the mouth makes each phone of the inventory: targets and dominances.

Targets are those of a speaker who articulates fully; lengths are in units of the distance between
the outer eye corners (IOD), and aperture is the gap between the inner lips. The table is ours, made
from what phonetics says of each phone: the labial openings of vowels as Fant has them ("Acoustic
Theory of Speech Production", 1960), where [i] is as open as [e] and rounding closes more than the
jaw opens; hissing sounds with parted lips and shown teeth (the jaw is high, the lips are not);
nasals and [d], [l] with the lips near each other. It was scaled to the face of the built-in person.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SHAPES", "Shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """How a phone is made: per channel a target, and how strongly it insists on it.

    Attributes:
        kind: vowel, closure (lips), liptooth, silence, or other.
        target: aperture, jaw, width (IOD), protrusion, tuck, tongue (0 to 1).
        weight: dominance per channel, where a stressed vowel's aperture has 4.
    """

    kind: str
    target: tuple[float, float, float, float, float, float]
    weight: tuple[float, float, float, float, float, float]


def _vowel(
    aperture: float, jaw: float, width: float, protrusion: float = 0.0, round_: float = 1.5
) -> Shape:
    return Shape(
        "vowel", (aperture, jaw, width, protrusion, 0.0, 0.0), (4.0, 3.5, 2.0, round_, 2.0, 1.5)
    )


def _other(
    target: tuple[float, float, float, float, float],
    weight: tuple[float, float, float, float, float],
    tuck: float = 0.5,
) -> Shape:
    a, j, w, p, t = target
    wa, wj, ww, wp, wt = weight
    return Shape("other", (a, j, w, p, 0.0, t), (wa, wj, ww, wp, tuck, wt))


_CLOSED = Shape("closure", (-0.04, 0.005, 0.0, 0.0, 0.0, 0.0), (10.0, 4.0, 0.4, 0.4, 2.0, 3.0))
_LIPTOOTH = Shape("liptooth", (0.03, 0.02, 0.01, 0.0, 1.0, 0.0), (8.0, 2.5, 0.6, 0.6, 8.0, 3.0))

SHAPES: dict[str, Shape] = {
    "pau": Shape("silence", (0.0,) * 6, (6.0, 6.0, 3.0, 3.0, 1.0, 1.0)),
    # vowels: aperture, jaw, width, protrusion
    "aa": _vowel(0.400, 0.120, 0.01),
    "ae": _vowel(0.380, 0.100, 0.05),
    "ah": _vowel(0.240, 0.075, 0.01),
    "ao": _vowel(0.140, 0.095, -0.07, 0.40, 2.5),
    "ax": _vowel(0.100, 0.050, 0.0, 0.05),
    "eh": _vowel(0.260, 0.075, 0.04),
    "er": _vowel(0.090, 0.060, -0.05, 0.40, 2.0),
    "ih": _vowel(0.160, 0.050, 0.03),
    "ix": _vowel(0.140, 0.050, 0.02),
    "iy": _vowel(0.150, 0.040, 0.07, 0.0, 2.0),
    "uh": _vowel(0.090, 0.060, -0.07, 0.50, 2.5),
    "uw": _vowel(0.020, 0.045, -0.13, 0.90, 4.0),
    "oh": _vowel(0.090, 0.085, -0.11, 0.65, 3.5),
    "yy": _vowel(0.020, 0.045, -0.12, 0.90, 4.0),
    "oe": _vowel(0.080, 0.065, -0.10, 0.70, 3.5),
    # lips
    "p": _CLOSED,
    "b": _CLOSED,
    "m": _CLOSED,
    "bh": Shape("other", (0.02, 0.025, 0.0, 0.0, 0.1, 0.0), (5.0, 1.0, 0.4, 0.4, 1.0, 2.0)),
    "f": _LIPTOOTH,
    "v": _LIPTOOTH,
    "w": _other((0.020, 0.050, -0.14, 1.00, 0.0), (5.0, 2.0, 5.0, 5.0, 1.0)),
    # tongue tip
    "th": _other((0.100, 0.055, 0.01, 0.0, 1.0), (2.5, 3.0, 0.5, 0.5, 5.0)),
    "dh": _other((0.090, 0.055, 0.01, 0.0, 0.9), (2.0, 2.5, 0.5, 0.5, 5.0)),
    "t": _other((0.130, 0.050, 0.01, 0.0, 0.25), (1.5, 2.5, 0.4, 0.3, 1.5)),
    "d": _other((0.090, 0.050, 0.01, 0.0, 0.25), (2.0, 2.5, 0.4, 0.3, 1.5)),
    "n": _other((0.050, 0.050, 0.01, 0.0, 0.30), (2.5, 2.0, 0.4, 0.3, 1.5)),
    "l": _other((0.100, 0.060, 0.01, 0.0, 0.60), (2.0, 1.5, 0.4, 0.3, 3.0)),
    "rr": _other((0.110, 0.050, 0.0, 0.05, 0.30), (1.2, 1.5, 0.3, 0.3, 1.5)),
    "r": _other((0.090, 0.055, -0.06, 0.55, 0.0), (1.5, 1.5, 2.0, 2.5, 1.5)),
    "s": _other((0.200, 0.040, 0.03, 0.0, 0.0), (4.0, 6.0, 0.8, 0.6, 2.0)),
    "z": _other((0.170, 0.040, 0.03, 0.0, 0.0), (3.0, 6.0, 0.8, 0.6, 2.0)),
    "sh": _other((0.260, 0.060, -0.06, 0.75, 0.0), (4.0, 6.0, 3.0, 3.5, 2.0)),
    "zh": _other((0.240, 0.060, -0.06, 0.75, 0.0), (4.0, 6.0, 3.0, 3.5, 2.0)),
    "ch": _other((0.260, 0.055, -0.06, 0.70, 0.0), (4.0, 6.0, 2.5, 3.0, 2.0)),
    "jh": _other((0.240, 0.055, -0.06, 0.70, 0.0), (3.5, 6.0, 2.5, 3.0, 2.0)),
    # back of the tongue, throat: the lips go with their neighbours
    "y": _other((0.130, 0.050, 0.05, 0.0, 0.0), (1.5, 1.5, 1.2, 0.8, 1.0)),
    "k": _other((0.200, 0.060, 0.0, 0.0, 0.0), (0.6, 0.5, 0.2, 0.2, 1.0)),
    "g": _other((0.180, 0.060, 0.0, 0.0, 0.0), (0.6, 0.5, 0.2, 0.2, 1.0)),
    "ng": _other((0.050, 0.060, 0.0, 0.0, 0.0), (2.5, 0.5, 0.2, 0.2, 1.0)),
    "kh": _other((0.200, 0.060, 0.0, 0.0, 0.0), (0.6, 0.5, 0.2, 0.2, 1.0)),
    "hh": _other((0.200, 0.060, 0.0, 0.0, 0.0), (0.3, 0.05, 0.05, 0.05, 0.5)),
}
