"""One inventory of phones for every synthesiser. How the mouth makes each is in `shapes.py`.

Names are those of the American voices (ARPAbet, lower case) plus a few for other languages: `yy`
the vowel of French *lune*, `oe` of *feu*, `rr` a tap or trill, `kh` of German *ach*, `bh` of
Spanish *lobo*. `pau` is silence.
"""

from __future__ import annotations

from dataclasses import dataclass

from visavis.finetune.speech.shapes import SHAPES

__all__ = ["PHONES", "Phone", "from_festival", "from_ipa"]


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone in time.

    Attributes:
        name: of the inventory.
        start, end: seconds.
        stress: 1 for a stressed vowel, 0 for a reduced one, in between when it is not known.
        effort: mean effort over it against the speaker's own, dB.
    """

    name: str
    start: float
    end: float
    stress: float = 0.6
    effort: float = 0.0


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
        Phone(first, phone.start, middle, phone.stress, phone.effort),
        Phone(second, middle, phone.end, phone.stress, phone.effort),
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
