"""The capacity curves as one picture (SVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visavis.benchmarks.figures import at
from visavis.benchmarks.sessions.axes import INK, MUTED, Axes, text

__all__ = ["plot"]

WIDTH, HEIGHT = 1120, 780
COLOURS = ("#3257d3", "#d1632a", "#1b8a6b", "#8a4fc4", "#b3375e")
WIDTHS = (6.0, 4.2, 2.6, 1.6, 1.2)
LIMIT = "#c0392b"
VISITORS = "#9aa3b5"
PLOT_W, PLOT_H = 420, 200
LEFTS, TOPS = (76, 640), (150, 480)
X_TITLE = "sessions at once"


def plot(result: Mapping[str, Any]) -> str:
    """Draw a result of `bench sessions`.

    Four fields: frames a second of the session that got least, how late its frames were, what a
    session costs, and the knees of whole sessions beside those of each part alone.
    """
    curves: Sequence[Mapping[str, Any]] = result["curves"]
    steps = [step for curve in curves for step in curve["steps"]]
    last = max((step["sessions"] for step in steps), default=1) * 1.04
    about, criteria = result["machine"], result["criteria"]
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        "aria-label='capacity of a machine: curves over the number of sessions'>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#fff'/>",
        text(LEFTS[0], 44, "How many sessions this machine carries", size=22, fill=INK, weight=650),
        text(
            LEFTS[0],
            68,
            f"{result['name']} {result['size'][0]}x{result['size'][1]}, {result['codec'].upper()}, "
            f"{result['seconds']:g} s each · {about['cpu']}, {about['cores']} cores",
            size=13,
        ),
        _legend(curves),
    ]
    parts += _frames(curves, Axes(LEFTS[0], TOPS[0], PLOT_W, PLOT_H, last, 26), criteria)
    parts += _late(curves, last, criteria)
    parts += _cost(curves, last)
    parts += _knees(result)
    return "".join(parts) + "</svg>\n"


def _legend(curves: Sequence[Mapping[str, Any]]) -> str:
    x, out = float(LEFTS[0]), ""
    for curve, colour in zip(curves, COLOURS, strict=False):
        words = f"{curve['persons']} person" + ("s" if curve["persons"] > 1 else "")
        out += f"<path d='M{x} 90h22' stroke='{colour}' stroke-width='3'/>"
        out += text(x + 29, 94, words, size=12, fill=INK)
        x += 52 + 7.0 * len(words)
    return out


def _lines(curves: Sequence[Mapping[str, Any]], axes: Axes, *path: str) -> list[str]:
    out = []
    # Where curves lie on each other, the ones below show at the edges.
    for width, curve, own in zip(WIDTHS, curves, COLOURS, strict=False):
        points = [
            (step["sessions"], value)
            for step in curve["steps"]
            if (value := at(step, *path)) is not None
        ]
        if points:
            out.append(axes.line(points, own, width=width))
    return out


def _frames(
    curves: Sequence[Mapping[str, Any]], axes: Axes, criteria: Mapping[str, float]
) -> list[str]:
    out = [axes.frame("Frames a second", "of the session that got least", X_TITLE)]
    out.append(axes.limit(criteria["least_fps"], f"{criteria['least_fps']:g}", LIMIT))
    return out + _lines(curves, axes, "least_fps")


def _late(
    curves: Sequence[Mapping[str, Any]], last: float, criteria: Mapping[str, float]
) -> list[str]:
    limit = criteria["most_late_p95_ms"]
    values = [at(step, "worst_late_p95_ms") or 0.0 for c in curves for step in c["steps"]]
    top = min(max([*values, limit]) * 1.15, 4 * limit)
    axes = Axes(LEFTS[1], TOPS[0], PLOT_W, PLOT_H, last, top)
    unit = "ms behind their own pace, 95th percentile, in the worst session"
    out = [axes.frame("How late frames come", unit, X_TITLE)]
    out.append(axes.limit(limit, f"one frame: {limit:g} ms", LIMIT))
    return out + _lines(curves, axes, "worst_late_p95_ms")


def _cost(curves: Sequence[Mapping[str, Any]], last: float) -> list[str]:
    values = [at(step, "cores", "per_session") or 0.0 for c in curves for step in c["steps"]]
    axes = Axes(LEFTS[0], TOPS[1], PLOT_W, PLOT_H, last, max([*values, 0.01]) * 1.2)
    unit = "processor cores, all processes of the server"
    out = [axes.frame("What a session costs", unit, X_TITLE)]
    for curve in curves[:1]:
        points = [
            (step["sessions"], step["cores"]["visitors"] / step["opened"])
            for step in curve["steps"]
            if step["opened"]
        ]
        if points:
            out.append(axes.line(points, VISITORS, dash="3 4"))
            x, y = points[-1]
            out.append(text(axes.x(x), axes.y(y) - 9, "a visitor", size=11, anchor="end"))
    return out + _lines(curves, axes, "cores", "per_session")


def _knees(result: Mapping[str, Any]) -> list[str]:
    """Bars: what each part carries alone, what whole sessions reached, what was promised."""
    left, top = LEFTS[1], TOPS[1]
    rows: list[tuple[str, float, str, bool]] = []
    for part, made in result["parts"].items():
        open_end = bool(made["steps"]) and all(step["carried"] for step in made["steps"])
        rows.append((f"{part} alone", made["knee"], "#b9c3dd", open_end))
    for curve, colour in zip(result["curves"], COLOURS, strict=False):
        persons = f"{curve['persons']} person" + ("s" if curve["persons"] > 1 else "")
        open_end = bool(curve["steps"]) and all(step["carried"] for step in curve["steps"])
        rows.append((f"whole, {persons}", curve["knee"], colour, open_end))
    for name, value in result.get("promised", {}).items():
        if "_sessions" in name:
            label = name.removeprefix("visavis_capacity_").replace("alone_sessions.", "")
            rows.append((f"said: {label}", value, "#dfe3ec", False))
    out = [
        text(left, top - 30, "How many are carried", size=14, fill=INK, weight=600),
        text(left, top - 13, "each part alone, whole sessions, and what the server says itself",
             size=11),
    ]  # fmt: skip
    most = max([value for _, value, _, _ in rows] + [1])
    height = min(26.0, (PLOT_H + 36) / max(1, len(rows)))
    start, room = left + 128, PLOT_W - 128 - 64
    for index, (label, value, colour, open_end) in enumerate(rows):
        y = top + index * height
        width = max(2.0, room * value / most)
        out.append(text(start - 10, y + height * 0.62, label, size=12, anchor="end", fill=INK))
        out.append(
            f"<rect x='{start}' y='{y + 3:.1f}' width='{width:.1f}' height='{height - 7:.1f}' "
            f"rx='3' fill='{colour}'/>"
        )
        words = f"{value:g}" + (" or more" if open_end else "")
        out.append(text(start + width + 8, y + height * 0.62, words, size=12, fill=MUTED))
    return out
