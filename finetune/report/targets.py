"""What a person should reach: two lists of bounds, for what two ways of training can do.

The CPU recipe trains without an adversary; the GPU recipe with one. A figure that was not measured
meets nothing and misses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TARGETS", "Bounds", "Target", "verdicts"]

Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is still good; None for no bound."""

    low: float | None = None
    high: float | None = None

    def met(self, value: float) -> bool:
        """Whether a figure is within."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g}–{self.high:g}"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure by its key, and what it should be.

    Attributes:
        says: for people; form: of its digits; unit: after them.
        gpu, cpu: bounds of the two recipes.
    """

    key: str
    says: str
    gpu: Bounds
    cpu: Bounds
    form: str = ".3f"
    unit: str = ""

    def shown(self, value: float | None) -> str:
        """A figure for people."""
        return "not measured" if value is None else f"{value:{self.form}}{self.unit}"

    def met(self, value: float | None, bounds: Bounds) -> bool | None:
        """Whether a figure, with the digits that are shown, is within bounds; None of None."""
        return None if value is None else bounds.met(float(f"{value:{self.form}}"))


_ENERGY, _ENERGY_CPU = Bounds(0.8, 1.2), Bounds(0.6)
_NEAR = Bounds(0.85, 1.15)
_FLICKER = Bounds(0.75, 1.25)
_FOLLOWS, _GAIN = Bounds(0.95), Bounds(0.9, 1.1)

TARGETS: tuple[Target, ...] = (
    Target("ssim", "mouth, structural similarity", Bounds(0.87), Bounds(0.85)),
    Target("over_baseline", "finest octave over that of the appearance model", Bounds(1.0),
           Bounds(1.0)),
    Target("energy_fine", "energy of the finest octave over the real one's", _ENERGY, _ENERGY_CPU),
    Target("energy_middle", "energy of the middle octave", _ENERGY, _ENERGY_CPU),
    Target("energy_coarse", "energy of the coarse octave", _ENERGY, _ENERGY_CPU),
    Target("coherence", "coherence of the finest octave", Bounds(0.5), Bounds(0.5)),
    Target("voice_fine", "voice-driven over tracked-driven, finest octave", _NEAR, _NEAR),
    Target("voice_middle", "voice-driven over tracked-driven, middle octave", _NEAR, _NEAR),
    Target("voice_coarse", "voice-driven over tracked-driven, coarse octave", _NEAR, _NEAR),
    Target("ring", "seam, off by", Bounds(None, 2.0), Bounds(None, 2.0), ".2f", " levels"),
    Target("flicker_silence", "flicker in silence over the real lips'", _FLICKER, _FLICKER),
    Target("flicker_vowels", "flicker in held vowels", _FLICKER, _FLICKER),
    Target("loop_r", "tracked again: r of the opening", _FOLLOWS, _FOLLOWS),
    Target("loop_gain", "tracked again: gain of the opening", _GAIN, _GAIN),
    Target("idle_repeat_s", "idle: two seconds come again after", Bounds(60.0), Bounds(60.0), ".1f",
           " s"),
    Target("idle_jitter", "idle: acceleration of the head over the clip's", Bounds(None, 1.25),
           Bounds(None, 1.25)),
)  # fmt: skip


def verdicts(figures: Figures) -> list[dict[str, object]]:
    """Return every target with its figure; value and met are None where nothing was measured."""
    out: list[dict[str, object]] = []
    for target in TARGETS:
        value = figures.get(target.key)
        entry: dict[str, object] = {
            "key": target.key, "says": target.says, "value": value, "unit": target.unit.strip()
        }  # fmt: skip
        for recipe, bounds in (("cpu", target.cpu), ("gpu", target.gpu)):
            entry[recipe] = {
                "low": bounds.low,
                "high": bounds.high,
                "met": target.met(value, bounds),
            }
        out.append(entry)
    return out
