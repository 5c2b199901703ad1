"""What the lips should reach, and whether they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TARGETS", "Target", "misses"]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure by its key, and the bounds it should keep.

    Attributes:
        key: of the figure.
        says: for people.
        low, high: bounds that are still good; None for none.
        unit: "", "%" for shares, or "ms".
    """

    key: str
    says: str
    low: float | None
    high: float | None
    unit: str = ""

    def met(self, value: float) -> bool:
        """Whether a figure is within bounds."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def bounds(self) -> str:
        """The bounds, for people."""
        if self.low is None:
            return f"at most {self.shown(self.high)}"
        if self.high is None:
            return f"at least {self.shown(self.low)}"
        return f"{self.shown(self.low)} to {self.shown(self.high)}"

    def shown(self, value: float | None) -> str:
        """A figure in the target's unit."""
        if value is None:
            return "-"
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        return f"{value:.0f} ms" if self.unit == "ms" else f"{value:.3f}"


TARGETS: tuple[Target, ...] = (
    Target("clips_r", "real clips: r of the opening, families' mean", 0.33, None),
    Target("clips_lag_ms", "real clips: lips behind the real ones", -60.0, 20.0, "ms"),
    Target("clips_opening_off", "real clips: quantiles of opening off by", None, 0.15, "%"),
    Target("clips_speed_off", "real clips: quantiles of lip speed off by", None, 0.15, "%"),
    Target("closures", "held-out voices: P, B, M shut within 40 ms", 0.95, None, "%"),
    Target("false_closures", "held-out voices: frames wrongly shut", None, 0.03, "%"),
    Target("gate_in_speech", "held-out voices: gate open while they speak", 0.95, None, "%"),
    Target("gate_in_whisper", "whispers: gate open", 0.90, None, "%"),
    Target("gate_in_hiss", "s, f and their like: gate open", 0.95, None, "%"),
    Target("onset_ms", "gate opens after speech begins", None, 40.0, "ms"),
    Target("hang_ms", "gate shut after speech ends", 120.0, 160.0, "ms"),
    Target("keys_breath_music", "keys, breath, music: frames with an open mouth", None, 0.01, "%"),
    Target("negatives", "all that is no speech: frames with an open mouth", None, 0.01, "%"),
    Target("loop_r", "picture: r of shown and commanded opening", 0.95, None),
    Target("loop_gain", "picture: shown over commanded", 0.9, 1.1),
    Target("loop_closures", "picture: P, B, M shut within 40 ms", 0.95, None, "%"),
    Target("loop_false_closures", "picture: frames wrongly shut", None, 0.03, "%"),
    Target("hour_drift", "an hour: last pass against the first, IOD", None, 0.002),
)


def misses(figures: Mapping[str, float | None]) -> list[str]:
    """Keys of the targets that are measured and not met."""
    known = {key: value for key, value in figures.items() if value is not None}
    return [t.key for t in TARGETS if t.key in known and not t.met(known[t.key])]
