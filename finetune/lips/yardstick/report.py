"""The other tables for people, and their figures by the keys of targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visavis.finetune.lips.yardstick.clip_report import grid
from visavis.finetune.lips.yardstick.targets import TARGETS, misses

__all__ = [
    "gate_figures",
    "gate_text",
    "hour_figures",
    "hour_text",
    "loop_figures",
    "loop_text",
    "speech_figures",
    "speech_text",
    "target_json",
    "target_text",
    "toy_text",
]

Table = Mapping[str, Any]
Figures = Mapping[str, float | None]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def speech_figures(table: Table) -> dict[str, float | None]:
    """Of voices as they are; noise is listed and has no target."""
    plain = table["all"]["plain"]
    return {
        "closures": plain["closures"],
        "false_closures": plain["false_closures"],
        "gate_in_speech": plain["gate_open"],
    }


def speech_text(table: Table) -> list[str]:
    """Lines for a terminal."""
    rows = []
    for condition in table["all"]:
        parts = {
            "all": table["all"][condition],
            **{name: entry[condition] for name, entry in table["voices"].items()},
            **{f"in {name}": entry[condition] for name, entry in table["languages"].items()},
        }
        if table["against"].get(condition) is not None:
            parts["against, all"] = table["against"][condition]
        for name, one in parts.items():
            rows.append(
                [
                    f"{condition}: {name}",
                    str(one["closures_said"]),
                    _share(one["closures"]),
                    _share(one["false_closures"]),
                    _number(one["r"]),
                    _number(one["r_width"]),
                    _number(one["r_protrusion"]),
                    _number(one["lag_ms"], ".0f"),
                    _number(one["amplitude"]),
                    _share(one["gate_open"]),
                ]
            )
    head = ["", "P, B, M", "shut", "wrongly shut", "r opening", "width", "protr.", "lag ms",
            "amplitude", "gate open"]  # fmt: skip
    return [
        "Voices that training never heard, against the gestures of their phones",
        *grid(head, rows),
    ]


def gate_figures(table: Table) -> dict[str, float | None]:
    """By the keys of targets."""
    return {
        "gate_in_whisper": table["gate_in_whisper"],
        "gate_in_hiss": table["gate_in_s_and_f"],
        "onset_ms": table["onset_ms"]["median"],
        "hang_ms": table["hang_ms"]["median"],
        "keys_breath_music": table["open_mouth_in_keys_breath_music"],
        "negatives": table["open_mouth_in_all"],
    }


def gate_text(table: Table) -> list[str]:
    """Lines for a terminal."""
    kinds = [[name, _share(share)] for name, share in table["open_mouth"].items()]
    kinds.append(["all", _share(table["open_mouth_in_all"])])

    def spread(name: str) -> list[str]:
        s = table[name]
        return [_number(s[key], ".0f") for key in ("median", "q05", "q95")] + [str(s["count"])]

    return [
        f"No speech, {table['seconds'] / 60:.1f} minutes: frames with an open mouth",
        *grid(["", "open"], kinds),
        "",
        "The gate",
        *grid(
            ["", "open"],
            [
                ["in a whisper", _share(table["gate_in_whisper"])],
                ["in s, sh, ch", _share(table["gate_in_s"])],
                ["in f, th, h", _share(table["gate_in_f"])],
            ],
        ),
        *grid(
            ["ms", "median", "5 %", "95 %", "times"],
            [
                ["opens after speech begins", *spread("onset_ms")],
                ["shut after speech ends", *spread("hang_ms")],
            ],
        ),
    ]


def loop_figures(table: Table) -> dict[str, float | None]:
    """By the keys of targets."""
    every = table["all"]
    return {
        "loop_r": every["r"],
        "loop_gain": every["gain"],
        "loop_closures": every["closures"],
        "loop_false_closures": every["false_closures"],
    }


def loop_text(table: Table) -> list[str]:
    """Lines for a terminal."""
    rows = []
    for name, one in {**table["films"], "all": table["all"]}.items():
        rows.append(
            [
                name,
                f"{one['frames']:.0f}",
                _number(one["r"], ".3f"),
                _number(one["gain"]),
                _number(one["error"], ".3f"),
                _share(one["shown_closed"]),
                _share(one["shown_open"]),
                _share(one.get("closures")),
                _share(one.get("false_closures")),
            ]
        )
    head = ["", "frames", "r", "gain", "error IOD", "shut when asked", "open when asked",
            "P, B, M shut", "wrongly shut"]  # fmt: skip
    tremble = table["trembling_in_silence_iod"]
    return [
        "The picture, tracked, against what was commanded",
        *grid(head, rows),
        f"Trembling in silence, 6 to 12.5 Hz, IOD: lips {_number(tremble['lips'], '.4f')}, corners "
        f"of the eyes, which stand still, {_number(tremble['corners_of_the_eyes'], '.4f')}",
    ]


def hour_figures(table: Table) -> dict[str, float | None]:
    """By the keys of targets."""
    return {"hour_drift": table["mean_difference_iod"]}


def hour_text(table: Table) -> list[str]:
    """Lines for a terminal."""
    return [
        f"{table['seconds'] / 60:.0f} minutes, {table['passes']} passes: the last differs from the "
        f"second by {table['mean_difference_iod']:.5f} IOD on average, "
        f"{table['largest_difference_iod']:.4f} at most, r {_number(table['r'], '.4f')}"
    ]


def target_json(figures: Figures) -> list[dict[str, Any]]:
    """Every target; value and met are null where nothing was measured."""
    return [
        {
            "key": t.key,
            "says": t.says,
            "value": figures.get(t.key),
            "low": t.low,
            "high": t.high,
            "met": None if (value := figures.get(t.key)) is None else t.met(value),
        }
        for t in TARGETS
    ]


def target_text(figures: Figures) -> list[str]:
    """Lines for a terminal."""
    rows = [
        [t.says, t.shown(value), t.bounds, "yes" if t.met(value) else "NO"]
        for t in TARGETS
        if (value := figures.get(t.key)) is not None
    ]
    return ["Targets", *grid(["", "measured", "wanted", "met"], rows)]


def toy_text(toys: Mapping[str, Figures]) -> list[str]:
    """Lines for a terminal: what gives each toy away."""
    return [
        "Toys, and the targets that each of them misses",
        *(f"  {name}: {', '.join(misses(f)) or 'NONE'}" for name, f in toys.items() if f),
    ]
