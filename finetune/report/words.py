"""The report for people: sentences, and tables as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visavis.finetune.lips.yardstick.clip_report import grid
from visavis.finetune.report.targets import TARGETS

__all__ = [
    "Table",
    "adversarial",
    "cost_table",
    "facts",
    "flicker_table",
    "idle_sentence",
    "lines",
    "loop_table",
    "picture_tables",
    "summary",
    "target_table",
    "voice_table",
    "was_seen",
]

Document = Mapping[str, Any]
Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # head, rows

NOT_MEASURED = "not measured"


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def was_seen(document: Document) -> str:
    """Say whether the judged frames are new to the renderer."""
    match document["settings"]["seen"]:
        case True:
            return (
                "The renderer has learned from these frames: the figures say how well it shows what"
                " it knows, and are too kind for what it does not."
            )
        case False:
            return "The renderer did not learn from these frames."
        case _:
            return "Whether the renderer learned from these frames, the file does not say."


def adversarial(document: Document) -> str:
    """Say whether an adversary taught the renderer."""
    settings = document["made_by"].get("settings")
    known = isinstance(settings, Mapping) and "adversarial_from" in settings
    if not known:
        return "The file does not say whether an adversarial stage was run."
    if settings["adversarial_from"] is None:
        return "No adversarial stage was run."
    return (
        f"An adversarial stage was run, from step {settings['adversarial_from']} of "
        f"{settings.get('steps', 'an unknown number')} on."
    )


def summary(document: Document) -> str:
    """Count the targets."""
    parts = []
    for recipe in ("cpu", "gpu"):
        met = [t[recipe]["met"] for t in document["targets"]]
        known = [m for m in met if m is not None]
        parts.append(f"{sum(known)} of {len(known)} of the {recipe.upper()} recipe")
    missing = sum(t["value"] is None for t in document["targets"])
    return f"Targets met: {' and '.join(parts)}; " + (
        f"{missing} could not be measured." if missing else "all were measured."
    )


def target_table(document: Document) -> Table:
    """Measured, limit and met, for both recipes."""
    rows = []
    for target, entry in zip(TARGETS, document["targets"], strict=True):
        row = [target.says, target.shown(entry["value"])]
        for recipe, bounds in (("cpu", target.cpu), ("gpu", target.gpu)):
            met = entry[recipe]["met"]
            row += [str(bounds), {True: "yes", False: "no", None: "-"}[met]]
        rows.append(row)
    return ["", "measured", "CPU recipe", "met", "GPU recipe", "met"], rows


def _octaves(values: Sequence[float | None]) -> list[str]:
    return [_number(v) for v in values]


def picture_tables(document: Document) -> tuple[Table, Table]:
    """The mouth's box, and the teeth apart."""
    mouth, teeth = [], []
    for row in document["picture"]:
        box = row["mouth"]
        mouth.append(
            [
                row["name"],
                _number(row["ssim"], ".3f"),
                _number(row["psnr"], ".1f"),
                *_octaves(box["energy"]),
                _number(box["coherence"][0]),
                _number(row["ring"]),
            ]
        )
        inner = row["teeth"]
        teeth.append([row["name"], *_octaves(inner["energy"]), _number(inner["coherence"][0])])
    octaves = list(document["octaves"])
    return (
        (["", "SSIM", "PSNR dB", *octaves, "coherence", "seam levels"], mouth),
        (["", *octaves, "coherence"], teeth),
    )


def _spread(entry: Mapping[str, float | None], form: str, scale: str = "") -> str:
    if entry["value"] is None:
        return NOT_MEASURED
    if entry["low"] is None or entry["high"] is None:
        return f"{entry['value']:{form}}{scale}"
    return f"{entry['value']:{form}} ({entry['low']:{form}} to {entry['high']:{form}}){scale}"


def voice_table(document: Document) -> Table:
    """What the voice alone makes of the mouth, beside the filmed one."""
    v = document["voice"]
    if v is None:
        return ["", "voice-driven", "filmed"], [["opening", NOT_MEASURED, NOT_MEASURED]]

    few = "" if v["r"]["low"] is not None else " (intervals need ten seconds)"

    def quantiles(values: Mapping[str, float]) -> str:
        return " ".join(f"{value:.2f}" for value in values.values())

    return (
        ["", "voice-driven", "filmed"],
        [
            [f"r of the opening, {v['frames']} frames{few}", _spread(v["r"], ".2f"), ""],
            ["lips later than the filmed ones", _spread(v["lag_ms"], ".0f", " ms"), ""],
            [
                "opening, 5, 50, 95 %, in distances between the eyes",
                quantiles(v["opening_iod"]),
                quantiles(v["real_opening_iod"]),
            ],
            ["speed, 5, 50, 95 %, a second", quantiles(v["speed_iod_s"]),
             quantiles(v["real_speed_iod_s"])],
        ],
    )  # fmt: skip


def loop_table(document: Document) -> Table:
    """What the tracker sees in the finished picture; and in the filmed one, as far as it goes."""
    rows = []
    for name, key in (
        ("tracked-driven", "tracked"),
        ("voice-driven", "voice"),
        ("the filmed mouth itself", "filmed"),
    ):
        f = document["loop"][key]
        if f is None:
            rows.append([name, *["-"] * 4])
            continue
        shut = f["shown_closed"]
        share = "-" if shut is None else f"{100 * shut:.0f} % of {f['asked_closed']:.0f}"
        rows.append(
            [name, _number(f["r"], ".3f"), _number(f["gain"]), _number(f["error"], ".3f"), share]
        )
    return ["", "r", "gain", "RMS", "shut when asked"], rows


def flicker_table(document: Document) -> Table:
    """Energy above 6 Hz over that of the filmed lips."""
    rows = [
        [
            says,
            str(f["frames"]),
            _number(f["real_energy"], ".1f"),
            _number(f["tracked"]),
            _number(f["voice"]),
        ]
        for says, f in (
            ("in silence", document["flicker"]["silence"]),
            ("in held vowels", document["flicker"]["vowels"]),
        )
    ]
    return ["", "frames", "filmed, levels squared", "tracked-driven", "voice-driven"], rows


def idle_sentence(document: Document) -> str:
    """What a patient watcher sees."""
    idle = document["idle"]
    said = f"{idle['seconds']:.0f} s of silence have {idle['jumps']} jumps. "
    if idle["soonest_s"] is None:
        said += "No two seconds of movement come again within a minute."
    else:
        said += (
            f"Of {idle['sequences']} sequences of two seconds that move, {idle['again']} come "
            f"again within a minute, the soonest after {idle['soonest_s']:.1f} s; "
            f"{idle['reversed_again'] or 'none'} of them backward."
        )
    if idle["jitter"] is not None:
        said += f" The head is accelerated {idle['jitter']:.2f} times as much as in the clip."
    between = idle["blinking"]["intervals_s"]
    said += f" There are {idle['blinking']['per_minute']:.1f} blinks a minute"
    if between is None:
        return said + "."
    return said + (f", half of them {between[1]:.1f} to {between[3]:.1f} s after the one before.")


def cost_table(document: Document) -> Table | None:
    """Time and memory of the training, where it recorded them."""
    notes = document["notes"]
    seconds, peak = notes.get("seconds"), notes.get("peak_mib")
    rows = []
    if isinstance(seconds, Mapping):
        rows += [[str(step), f"{value:.1f} s"] for step, value in seconds.items()]
        rows.append(["all steps", f"{sum(seconds.values()):.1f} s"])
    if isinstance(peak, int | float):
        rows.append(["memory, at most", f"{peak:.0f} MiB"])
    return (["", ""], rows) if rows else None


def facts(document: Document) -> list[tuple[str, str]]:
    """Consent, licence and provenance as names and values."""
    person = document["person"]
    entries = [("person", f"{person['display_name']} ({person['name']}), {person['system']}")]
    entries += _flat("consent", document["consent"])
    if not document["consent"].get("given"):
        entries.append(("consent", "none is stated"))
    entries += [("licence", str(document["licence"])), ("id", person["id"])]
    entries += _flat("made by", document["made_by"])
    shown = ("seconds", "peak_mib")
    return entries + _flat(
        "note", {key: value for key, value in document["notes"].items() if key not in shown}
    )


def _flat(name: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            entry
            for key, item in value.items()
            for entry in _flat(f"{name}: {str(key).replace('_', ' ')}", item)
        ]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    if value is None or isinstance(value, bool):
        return [(name, {None: "none", True: "yes", False: "no"}[value])]
    return [(name, str(value))]


def lines(document: Document) -> list[str]:
    """The whole report for a terminal."""
    settings = document["settings"]
    judged = ", ".join(f"{a} to {b - 1}" for a, b in settings["held_out"])
    mouth, teeth = picture_tables(document)
    text = [
        f"{document['person']['display_name']}, frames {judged}; {settings['lookahead_ms']} ms of "
        "look-ahead",
        was_seen(document),
        adversarial(document),
        summary(document),
        "",
        *grid(*target_table(document)),
        "",
        "The mouth: likeness, energy of three octaves over the real one's, coherence of the finest",
        *grid(*mouth),
        "",
        "Teeth: what is between open lips",
        *grid(*teeth),
        "",
        "Flicker of still lips, 6 to 12.5 Hz, over that of the filmed ones",
        *grid(*flicker_table(document)),
        "",
        "The finished picture, tracked again, against the mouth that was asked for",
        *grid(*loop_table(document)),
    ]
    if document["loop"]["why"]:
        text.append(f"Not measured: {document['loop']['why']}.")
    text += ["", "Lips that only hear the sound", *grid(*voice_table(document))]
    text += ["", idle_sentence(document)]
    return text
