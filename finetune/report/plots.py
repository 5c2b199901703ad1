"""Curves as SVG, for a page without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["curves"]

_WIDTH, _HEIGHT = 1000, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 12, 26


def _step(span: float, least: int) -> float:
    """A round step that divides a span into at least so many parts."""
    for step in (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02):
        if span / step >= least:
            return step
    return 0.01


def curves(series: Mapping[str, Sequence[float | None]], first_s: float, period_s: float) -> str:
    """Draw curves over one axis of time.

    Args:
        series: values by name, of one length, in IOD; classes c0, c1 and so on give the colours.
        first_s: when the first value is; period_s: from value to value.

    Returns:
        an <svg> element.
    """
    count = max(len(values) for values in series.values())
    known = [v for values in series.values() for v in values if v is not None]
    top = max([*known, 0.05]) * 1.06
    last_s = first_s + (count - 1) * period_s

    def x(time: float) -> float:
        share = (time - first_s) / max(last_s - first_s, 1e-9)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    step = _step(top, 3)
    for index in range(int(top / step) + 1):
        at = y(index * step)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
                     f"{index * step:.2f}</text>")  # fmt: skip
    step = _step(last_s - first_s, 4)
    tick = -(-first_s // step) * step
    while tick <= last_s + 1e-9:
        parts.append(f'<text x="{x(tick):.1f}" y="{_HEIGHT - 7}" text-anchor="middle">'
                     f"{tick:g} s</text>")  # fmt: skip
        tick = round(tick + step, 6)
    for index, (name, values) in enumerate(series.items()):
        words, pen = [], "M"
        for k, value in enumerate(values):
            if value is None:
                pen = "M"
                continue
            words.append(f"{pen}{x(first_s + k * period_s):.1f} {y(value):.1f}")
            pen = "L"
        parts.append(f'<path class="curve c{index}" d="{"".join(words)}">'
                     f"<title>{escape(name)}</title></path>")  # fmt: skip
    label = escape(", ".join(series))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )
