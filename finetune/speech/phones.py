"""One inventory of phones for every synthesiser, and how the mouth makes each of them.

Names are those of the American voices (ARPAbet, lower case) plus a few for other languages: `yy`
the vowel of French *lune*, `oe` of *feu*, `rr` a tap or trill, `kh` of German *ach*, `bh` of
Spanish *lobo*. `pau` is silence.

Targets are those of a speaker who articulates fully; lengths are in units of the distance between
the outer eye corners (IOD). The table is ours: made from what phonetics textbooks say about each
phone, and scaled to the tracked face of the built-in person.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PHONES", "SHAPES", "Phone", "Shape", "from_festival", "from_ipa"]


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone in time.

    Attributes:
        name: of the inventory.
        start, end: seconds.
        stress: 1 for a stressed vowel, 0 for a reduced one, in between when it is not known.
    """

    name: str
    start: float
    end: float
    stress: float = 0.6


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
    "aa": _vowel(0.34, 0.120, 0.01),
    "ae": _vowel(0.32, 0.100, 0.05),
    "ah": _vowel(0.24, 0.075, 0.01),
    "ao": _vowel(0.28, 0.095, -0.07, 0.40, 2.5),
    "ax": _vowel(0.140, 0.050, 0.0, 0.05),
    "eh": _vowel(0.25, 0.075, 0.04),
    "er": _vowel(0.16, 0.060, -0.05, 0.40, 2.0),
    "ih": _vowel(0.16, 0.050, 0.03),
    "ix": _vowel(0.140, 0.050, 0.02),
    "iy": _vowel(0.13, 0.040, 0.07, 0.0, 2.0),
    "uh": _vowel(0.130, 0.060, -0.07, 0.50, 2.5),
    "uw": _vowel(0.100, 0.045, -0.13, 0.90, 4.0),
    "oh": _vowel(0.22, 0.085, -0.11, 0.65, 3.5),
    "yy": _vowel(0.100, 0.045, -0.12, 0.90, 4.0),
    "oe": _vowel(0.150, 0.065, -0.10, 0.70, 3.5),
    # lips
    "p": _CLOSED,
    "b": _CLOSED,
    "m": _CLOSED,
    "bh": Shape("other", (0.02, 0.025, 0.0, 0.0, 0.1, 0.0), (5.0, 1.0, 0.4, 0.4, 1.0, 2.0)),
    "f": _LIPTOOTH,
    "v": _LIPTOOTH,
    "w": _other((0.060, 0.050, -0.14, 1.00, 0.0), (5.0, 2.0, 5.0, 5.0, 1.0)),
    # tongue tip
    "th": _other((0.140, 0.055, 0.01, 0.0, 1.0), (2.5, 3.0, 0.5, 0.5, 5.0)),
    "dh": _other((0.140, 0.055, 0.01, 0.0, 0.9), (2.0, 2.5, 0.5, 0.5, 5.0)),
    "t": _other((0.135, 0.050, 0.01, 0.0, 0.25), (1.2, 2.5, 0.4, 0.3, 1.5)),
    "d": _other((0.135, 0.050, 0.01, 0.0, 0.25), (1.2, 2.5, 0.4, 0.3, 1.5)),
    "n": _other((0.140, 0.050, 0.01, 0.0, 0.30), (1.2, 2.0, 0.4, 0.3, 1.5)),
    "l": _other((0.160, 0.060, 0.01, 0.0, 0.60), (1.2, 1.5, 0.4, 0.3, 3.0)),
    "rr": _other((0.140, 0.050, 0.0, 0.05, 0.30), (1.2, 1.5, 0.3, 0.3, 1.5)),
    "r": _other((0.120, 0.055, -0.06, 0.55, 0.0), (1.5, 1.5, 2.0, 2.5, 1.5)),
    "s": _other((0.120, 0.040, 0.03, 0.0, 0.0), (2.0, 6.0, 0.8, 0.6, 2.0)),
    "z": _other((0.120, 0.040, 0.03, 0.0, 0.0), (2.0, 6.0, 0.8, 0.6, 2.0)),
    "sh": _other((0.155, 0.060, -0.06, 0.75, 0.0), (3.0, 6.0, 3.0, 3.5, 2.0)),
    "zh": _other((0.155, 0.060, -0.06, 0.75, 0.0), (3.0, 6.0, 3.0, 3.5, 2.0)),
    "ch": _other((0.150, 0.055, -0.06, 0.70, 0.0), (2.5, 6.0, 2.5, 3.0, 2.0)),
    "jh": _other((0.150, 0.055, -0.06, 0.70, 0.0), (2.5, 6.0, 2.5, 3.0, 2.0)),
    # back of the tongue, throat: the lips go with their neighbours
    "y": _other((0.130, 0.050, 0.05, 0.0, 0.0), (1.5, 1.5, 1.2, 0.8, 1.0)),
    "k": _other((0.155, 0.060, 0.0, 0.0, 0.0), (0.3, 0.5, 0.2, 0.2, 1.0)),
    "g": _other((0.155, 0.060, 0.0, 0.0, 0.0), (0.3, 0.5, 0.2, 0.2, 1.0)),
    "ng": _other((0.140, 0.060, 0.0, 0.0, 0.0), (0.4, 0.5, 0.2, 0.2, 1.0)),
    "kh": _other((0.155, 0.060, 0.0, 0.0, 0.0), (0.5, 0.5, 0.2, 0.2, 1.0)),
    "hh": _other((0.150, 0.060, 0.0, 0.0, 0.0), (0.05, 0.05, 0.05, 0.05, 0.5)),
}

PHONES: tuple[str, ...] = tuple(SHAPES)

# Two targets each, and the share of the time that belongs to the first.
_DIPHTHONGS: dict[str, tuple[str, str, float]] = {
    "ay": ("aa", "ih", 0.60),
    "ey": ("eh", "iy", 0.55),
    "ow": ("oh", "uw", 0.55),
    "aw": ("ae", "uh", 0.55),
    "oy": ("ao", "ih", 0.55),
}


def _split(phone: Phone) -> list[Phone]:
    parts = _DIPHTHONGS.get(phone.name)
    if parts is None:
        return [phone]
    first, second, share = parts
    middle = phone.start + share * (phone.end - phone.start)
    return [
        Phone(first, phone.start, middle, phone.stress),
        Phone(second, middle, phone.end, phone.stress),
    ]


def from_festival(name: str, start: float, end: float, stress: float | None = None) -> list[Phone]:
    """Phones of Festival's and Flite's American voices; `stress` None means: not known."""
    if name not in SHAPES and name not in _DIPHTHONGS:
        name = "pau" if name in {"sil", "#", "h#", "brth"} else "ax"
    if stress is None:
        # Flite does not say: reduced vowels have their own names, and long ones bear the stress.
        stress = 0.0 if name in {"ax", "ix"} else min(1.0, max(0.3, (end - start) / 0.11))
    return _split(Phone(name, start, end, stress))


# Base letters of the International Phonetic Alphabet. Longest match first.
_IPA: dict[str, str] = {
    "aɪ": "ay", "eɪ": "ey", "oʊ": "ow", "əʊ": "ow", "aʊ": "aw", "ɔɪ": "oy", "ɔø": "oy",
    "tʃ": "ch", "dʒ": "jh", "ts": "s", "dz": "z", "tɕ": "ch", "dʑ": "jh", "pf": "f",
    "a": "aa", "ɑ": "aa", "ɐ": "ah", "æ": "ae", "ʌ": "ah", "ɒ": "ao", "ɔ": "ao", "o": "oh",
    "e": "eh", "ɛ": "eh", "ɜ": "er", "ɚ": "er", "ɝ": "er", "ə": "ax", "ᵊ": "ax", "ɪ": "ih",
    "i": "iy", "ɨ": "ix", "ᵻ": "ix", "u": "uw", "ʊ": "uh", "ʉ": "uw", "ɯ": "ih", "y": "yy",
    "ʏ": "yy", "ø": "oe", "œ": "oe", "ɘ": "ax", "ɤ": "ah", "p": "p", "b": "b", "m": "m",
    "ɱ": "m", "ɓ": "b", "f": "f", "v": "v", "ʋ": "v", "β": "bh", "ɸ": "bh", "w": "w", "ʍ": "w",
    "ɥ": "w", "θ": "th", "ð": "dh", "t": "t", "d": "d", "ʈ": "t", "ɖ": "d", "n": "n", "ɳ": "n",
    "ɲ": "n", "l": "l", "ɫ": "l", "ʎ": "l", "ɭ": "l", "ɬ": "l", "r": "rr", "ɾ": "rr", "ɹ": "r",
    "ɻ": "r", "ʀ": "kh", "ʁ": "kh", "s": "s", "z": "z", "ʃ": "sh", "ʒ": "zh", "ʂ": "sh",
    "ʐ": "zh", "ɕ": "sh", "ʑ": "zh", "ç": "y", "j": "y", "ʝ": "y", "c": "k", "ɟ": "g", "k": "k",
    "g": "g", "ɡ": "g", "q": "k", "ŋ": "ng", "ɴ": "ng", "x": "kh", "χ": "kh", "ɣ": "kh", "h": "hh",
    "ɦ": "hh", "ħ": "hh", "ʕ": "hh", "ʔ": "hh",
}  # fmt: skip


def from_ipa(name: str, start: float, end: float) -> list[Phone]:
    """One event of espeak-ng, written in IPA; unknown signs and length marks are passed over.

    Stress: reduced vowels are unstressed, marked and long ones are stressed.
    """
    stressed = name[:1] in {"ˈ", "ˌ"}
    letters = name.strip("ˈˌ̩̃ːˑ_: ^ʲ")
    if not letters:
        return [Phone("pau", start, end, 0.0)]
    known = _IPA.get(letters[:2]) or next((_IPA[c] for c in letters if c in _IPA), None)
    if known is None:
        return [Phone("ax", start, end, 0.0)]
    if known in {"ax", "ix"}:
        stress = 0.0
    else:
        stress = 1.0 if stressed else min(1.0, max(0.3, (end - start) / 0.11))
    return _split(Phone(known, start, end, stress))
