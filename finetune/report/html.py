"""The report as one page: no scripts, nothing from elsewhere, for light and dark rooms."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from visavis.finetune.report.gallery import Strip
from visavis.finetune.report.plots import curves
from visavis.finetune.report.report import Curve, Report
from visavis.finetune.report.targets import TARGETS
from visavis.finetune.report.words import (
    Table,
    adversarial,
    cost_table,
    facts,
    flicker_table,
    idle_sentence,
    loop_table,
    picture_tables,
    summary,
    voice_table,
    was_seen,
)

__all__ = ["page"]

STYLE = Path(__file__).with_name("style.css")
_MARKS = {"yes": "yes", "no": "no", "-": "none", "not measured": "none"}


def page(report: Report) -> str:
    """Return the page."""
    document = report.document
    person = document["person"]
    settings = document["settings"]
    judged = ", ".join(f"{a} to {b - 1}" for a, b in settings["held_out"])
    mouth, teeth = picture_tables(document)
    body = [
        "<header>",
        f"<h1>{_text(person['display_name'])}, measured</h1>",
        f'<p class="lead">{_text(summary(document))} {_text(was_seen(document))}</p>',
        f"<p>{_text(adversarial(document))} Judged are frames {judged} of {settings['frames']}: "
        "the finished picture as the engine sends it, before it is encoded.</p>",
        "</header>",
        "<h2>What it looks like</h2>",
        '<p class="soft">Tracked-driven: the mouth is asked to do what the filmed one does, in the '
        "same frame. Voice-driven: the whole engine hears the sound, looks "
        f"{settings['lookahead_ms']} ms ahead, and chooses its own head.</p>",
        _strip(report.faces, "faces", 1),
        *(_strip(strip, "mouths", 2) for strip in report.mouths),
        *_fitted(report.fitted),
        "<h2>Against the targets</h2>",
        '<p class="soft">The CPU recipe trains without an adversary, the GPU recipe with one.</p>',
        _targets(document),
        "<h2>The picture</h2>",
        '<p class="soft">Structural similarity and PSNR of the mouth’s box; energy of three '
        "octaves of detail over that of the real frames, the finest first; coherence, the "
        "correlation of the finest octave with the real one; the seam, mean difference along the "
        "feather. The last rows are no renderers: each is good by one figure and bad by "
        "another.</p>",
        _table(mouth, ours=2),
        "<h3>Teeth</h3>",
        '<p class="soft">What is between the lips where they are open.</p>',
        _table(teeth, ours=2),
        "<h3>Flicker</h3>",
        '<p class="soft">Energy of changes between 6 Hz and 12.5 while the lips are still, the '
        "head held still by its pose, over that of the filmed lips.</p>",
        _table(flicker_table(document)),
        "<h2>The mouth</h2>",
        '<p class="soft">Opening of the lips, in distances between the outer corners of the '
        "eyes.</p>",
        *_plots(report.curves),
        "<h3>Tracked again</h3>",
        '<p class="soft">The finished picture is tracked like the clip was: does it show the mouth '
        "that was asked for?</p>",
        _table(loop_table(document)),
        _why(document),
        "<h3>Lips that only hear</h3>",
        _table(voice_table(document)),
        "<h2>While nobody speaks</h2>",
        f'<p class="soft">{_text(idle_sentence(document))}</p>',
        *_cost(document),
        "<h2>Consent and provenance</h2>",
        _facts(facts(document)),
        "<h2>How it was measured</h2>",
        _facts(_settings(document)),
    ]
    title = _text(f"{person['display_name']}, measured")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE.read_text('utf-8')}</style>\n</head>\n"
        "<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(value: object) -> str:
    return escape(str(value))


def _table(table: Table, ours: int = 0) -> str:
    """Draw a table; its first rows are ours."""
    head, rows = table
    cells = "".join(f"<th scope=col>{_text(name)}</th>" for name in head)
    lines = [f"<tr>{cells}</tr>"]
    for index, row in enumerate(rows):
        kind = ' class="ours"' if index < ours else ""
        lines.append(f"<tr{kind}>" + "".join(map(_cell, row)) + "</tr>")
    return '<div class="wide"><table>' + "".join(lines) + "</table></div>"


def _fitted(strip: Strip | None) -> list[str]:
    if strip is None:
        return []
    return [
        "<h2>The face model</h2>",
        '<p class="soft">Frames that it was fitted to: as they are, with the mesh that the person '
        "moves by, and with the face that the model makes of its own shape, skin and light.</p>",
        _strip(strip, "faces", 1),
    ]


def _targets(document: Mapping[str, Any]) -> str:
    """Every figure with its bounds, narrow enough for a phone."""
    lines = ["<tr><th></th><th scope=col>measured</th><th scope=col>CPU recipe</th>"
             "<th scope=col>GPU recipe</th></tr>"]  # fmt: skip
    for target, entry in zip(TARGETS, document["targets"], strict=True):
        cells = [f"<td>{_text(target.says)}</td>{_cell(target.shown(entry['value']))}"]
        for recipe, bounds in (("cpu", target.cpu), ("gpu", target.gpu)):
            kind, word = {True: ("yes", "met"), False: ("no", "missed"), None: ("none", "–")}[
                entry[recipe]["met"]
            ]
            verdict = f'<span class="{kind} verdict">{word}</span>'
            cells.append(f"<td><span>{_text(bounds)}</span> {verdict}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return '<div class="wide targets"><table>' + "".join(lines) + "</table></div>"


def _cell(text: str) -> str:
    mark = f' class="{_MARKS[text]}"' if text in _MARKS else ""
    return f"<td{mark}>{_text('–' if text == '-' else text)}</td>"


def _image(data: bytes) -> str:
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _strip(strip: Strip, kind: str, scale: int) -> str:
    rows = "".join(
        f"<span>{_text(name)}</span>"
        f'<img src="{_image(data)}" width="{strip.width * scale}" height="{strip.height * scale}" '
        f'alt="{_text(name)}, {_text(strip.title)}">'
        for name, data in strip.rows
    )
    caption = _text(strip.title) + (f", {scale} × enlarged" if scale > 1 else "")
    return (
        f"<figure><figcaption>{caption}</figcaption>"
        f'<div class="strip {kind}"><div>{rows}</div></div></figure>'
    )


def _plots(every: Sequence[Curve]) -> list[str]:
    parts = []
    if every:
        names = list(every[0].series)
        marks = "".join(
            f'<span><i class="c{i}"></i>{_text(name)}</span>' for i, name in enumerate(names)
        )
        parts.append(f'<div class="key">{marks}</div>')
    for curve in every:
        parts.append(f'<div class="plot">{curves(curve.series, curve.first_s, 0.04)}</div>')
    return parts


def _why(document: Mapping[str, Any]) -> str:
    why = document["loop"]["why"]
    return f'<p class="soft">Not measured: {_text(why)}.</p>' if why else ""


def _cost(document: Mapping[str, Any]) -> list[str]:
    table = cost_table(document)
    if table is None:
        return []
    return ["<h2>What the training took</h2>", _table(table)]


def _settings(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = document["settings"]
    variants = ", ".join(f"{name} in {kind}" for name, kind in settings["variants"].items())
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    return [
        ("networks", variants),
        ("baseline", f"an appearance model of {settings['training_frames']} other frames"),
        ("bootstrap", f"{settings['draws']} draws of blocks of two seconds"),
        ("versions", versions),
        ("format", document["schema"]),
    ]


def _facts(entries: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(a)}</dt><dd>{_text(b)}</dd>" for a, b in entries) + "</dl>"
