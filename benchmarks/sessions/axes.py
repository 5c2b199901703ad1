"""A small frame for curves in SVG: axes, grid, ticks, and places for points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["INK", "MUTED", "Axes", "round_ticks", "text"]

INK = "#1d2433"
MUTED = "#6b7488"
GRID = "#e6e9f0"
FONT = "font-family='Inter, system-ui, -apple-system, Segoe UI, sans-serif'"


def text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", fill: str = MUTED,
    weight: int = 400,
) -> str:  # fmt: skip
    """A line of text."""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{fill}' "
        f"font-weight='{weight}' {FONT}>{escape(words)}</text>"
    )


def round_ticks(top: float, most: int = 6) -> list[float]:
    """Round numbers from 0 to ``top``, at most so many steps."""
    if top <= 0:
        return [0.0]
    step = 10.0 ** math.floor(math.log10(top))
    for factor in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0):
        if top / (step * factor) <= most:
            step *= factor
            break
    return [round(step * n, 10) for n in range(int(top / step + 1e-9) + 1)]


class Axes:
    """A rectangle in which x and y are linear.

    Args:
        left, top, width, height: of the plot area, in the picture's own units.
        last_x, top_y: the largest values; the smallest are 0.
    """

    def __init__(
        self, left: float, top: float, width: float, height: float, last_x: float, top_y: float
    ) -> None:
        self.left, self.top, self.width, self.height = left, top, width, height
        self._last_x, self._top_y = max(last_x, 1e-9), max(top_y, 1e-9)

    def x(self, value: float) -> float:
        """Where a value lies from left to right."""
        return self.left + self.width * value / self._last_x

    def y(self, value: float) -> float:
        """Where a value lies from top to bottom; beyond the top, at the top."""
        return self.top + self.height * (1 - min(value, self._top_y) / self._top_y)

    def frame(self, title: str, unit: str, x_title: str) -> str:
        """Title, grid and ticks."""
        right, bottom = self.left + self.width, self.top + self.height
        parts = [
            text(self.left, self.top - 30, title, size=14, fill=INK, weight=600),
            text(self.left, self.top - 13, unit, size=11),
        ]
        for tick in round_ticks(self._top_y):
            at = self.y(tick)
            parts.append(f"<path d='M{self.left} {at:.1f}H{right}' stroke='{GRID}'/>")
            parts.append(text(self.left - 8, at + 4, f"{tick:g}", size=11, anchor="end"))
        for tick in round_ticks(self._last_x, 8):
            if tick == int(tick):
                words = f"{tick:g}"
                parts.append(text(self.x(tick), bottom + 18, words, size=11, anchor="middle"))
        parts.append(text(right, bottom + 36, x_title, size=11, anchor="end"))
        return "".join(parts)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        *,
        width: float = 2.25,
        dash: str = "",
    ) -> str:
        """A curve through points, with a dot at each."""
        way = "L".join(f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in points)
        dots = "".join(
            f"<circle cx='{self.x(a):.1f}' cy='{self.y(b):.1f}' r='3.5' fill='#fff' "
            f"stroke='{colour}' stroke-width='2'><title>{a:g}: {b:.3g}</title></circle>"
            for a, b in points
        )
        dashed = f" stroke-dasharray='{dash}'" if dash else ""
        return (
            f"<path d='M{way}' fill='none' stroke='{colour}' stroke-width='{width}' "
            f"stroke-linejoin='round'{dashed}/>{dots}"
        )

    def limit(self, value: float, words: str, colour: str) -> str:
        """A dashed line across, with what it says at its left end."""
        at, right = self.y(value), self.left + self.width
        return (
            f"<path d='M{self.left} {at:.1f}H{right}' stroke='{colour}' stroke-dasharray='5 4'/>"
            + text(self.left + 4, at - 6, words, size=11, fill=colour)
        )
