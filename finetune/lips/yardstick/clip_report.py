"""The table of real clips, as JSON and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.agreement import LEVELS, Agreement
from visavis.finetune.lips.yardstick.clip_table import MEASURED, ClipTable, Row
from visavis.finetune.lips.yardstick.sampling import Estimate

__all__ = ["clip_figures", "clip_json", "clip_text", "figures_of", "interval"]

F64 = NDArray[np.float64]


def figures_of(row: Row) -> dict[str, float | None]:
    """A row's figures by the keys of targets; none where it is not measured on all families."""
    if row.macro is None:
        return {}
    m = row.macro
    return {
        "clips_r": Estimate.of(m.r).value,
        "clips_lag_ms": Estimate.of(m.lag).value,
        "clips_opening_off": Estimate.of(m.opening_off).value,
        "clips_speed_off": Estimate.of(m.speed_off).value,
    }


def clip_figures(table: ClipTable) -> dict[str, float | None]:
    """The measured lips' figures by the keys of targets."""
    return figures_of(table.row(MEASURED))


def interval(draws: F64) -> dict[str, float | None]:
    """An estimate for JSON: value, low and high of 95 %, null where not defined."""
    e = Estimate.of(draws)
    return {"value": e.value, "low": e.low, "high": e.high}


def _agreement_json(a: Agreement) -> dict[str, Any]:
    return {
        "r": interval(a.r),
        "r_faster_than_2_s": interval(a.fast),
        "r_width": interval(a.width),
        "r_protrusion": interval(a.protrusion),
        "lag_ms": interval(a.lag),
        "opening_off": interval(a.opening_off),
        "speed_off": interval(a.speed_off),
        **{
            name: {
                f"q{100 * level:02.0f}": interval(values[:, i]) for i, level in enumerate(LEVELS)
            }
            for name, values in (
                ("opening_iod", a.opening),
                ("real_opening_iod", a.real_opening),
                ("speed_iod_s", a.speed),
                ("real_speed_iod_s", a.real_speed),
            )
        },
    }


def clip_json(table: ClipTable) -> dict[str, Any]:
    """The whole table; `gain` is the measured lips' r minus the row's, paired."""
    measured = table.row(MEASURED)
    rows = []
    for row in table.rows:
        entry: dict[str, Any] = {
            "name": row.name,
            "kind": row.kind,
            "macro": None if row.macro is None else _agreement_json(row.macro),
            "families": {name: _agreement_json(a) for name, a in row.families.items()},
        }
        if row is not measured:
            entry["gain"] = {
                name: interval(measured.families[name].r - a.r) for name, a in row.families.items()
            }
            if row.macro is not None and measured.macro is not None:
                entry["gain"]["macro"] = interval(measured.macro.r - row.macro.r)
        rows.append(entry)
    return {"families": table.families, "draws": table.draws, "block_s": 2.0, "rows": rows}


def _cell(draws: F64 | None, form: str = "{:.2f}") -> str:
    if draws is None:
        return "-"
    value = Estimate.of(draws).value
    return "-" if value is None else form.format(value)


def _spread(draws: F64 | None) -> str:
    if draws is None:
        return "-"
    e = Estimate.of(draws)
    if e.value is None or e.low is None or e.high is None:
        return "-" if e.value is None else f"{e.value:.3f}"
    return f"{e.value:.3f} ({e.low:.2f} to {e.high:.2f})"


def _quantiles(values: F64 | None) -> str:
    return "-" if values is None else " ".join(f"{v:.2f}" for v in values[0])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "  ".join((first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))))

    return [line(head), *(line(row) for row in rows)]


def clip_text(table: ClipTable) -> list[str]:
    """Lines for a terminal."""
    families = list(table.families)
    measured = table.row(MEASURED)
    rows = []
    for row in table.rows:
        gain = None
        if row is not measured and row.macro is not None and measured.macro is not None:
            gain = measured.macro.r - row.macro.r
        rows.append(
            [
                row.name,
                _spread(None if row.macro is None else row.macro.r),
                *(_cell(row.families[f].r if f in row.families else None) for f in families),
                _spread(gain),
            ]
        )
    lines = [
        f"Real clips: r of the opening, no lag, {len(families)} families of equal weight "
        "(95 % intervals, blocks of 2 s)",
        *grid(["", "mean", *families, "measured beats it by"], rows),
        "",
        "The same, means over families. Opening in IOD and speed in IOD/s: 5, 50, 95 % of frames",
    ]
    body = []
    for row in table.rows:
        m = row.macro
        baseline = row.kind == "baseline" and row.name.startswith("energy")
        body.append(
            [
                row.name,
                _spread(None if m is None else m.fast),
                _cell(None if m is None else m.width),
                _cell(None if m is None else m.protrusion),
                _lag(m),
                _quantiles(None if m is None or baseline else m.opening),
                _quantiles(None if m is None or baseline else m.speed),
            ]
        )
    if measured.macro is not None:
        body.append(
            ["real mouths", "", "", "", "", _quantiles(measured.macro.real_opening),
             _quantiles(measured.macro.real_speed)]
        )  # fmt: skip
    head = ["", "faster than 2 s", "width", "protr.", "lag ms", "opening", "speed"]
    return [*lines, *grid(head, body)]


def _lag(m: Agreement | None) -> str:
    if m is None:
        return "-"
    e = Estimate.of(m.lag)
    if e.value is None:
        return "-"
    if e.low is None or e.high is None:
        return f"{e.value:.0f}"
    return f"{e.value:.0f} ({e.low:.0f} to {e.high:.0f})"
