"""Writes a report: `report.json` for programs, `report.html` for people, `report.md` in short."""

from __future__ import annotations

import json
from pathlib import Path

from visavis.engines.errors import ConfigError
from visavis.finetune.report.html import page
from visavis.finetune.report.markdown import markdown
from visavis.finetune.report.report import Report

__all__ = ["write_report"]


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write the files into a folder, which is made.

    Returns:
        the paths of `report.json` and `report.html`.

    Raises:
        ConfigError: they cannot be written.
    """
    document = json.dumps(report.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "report.json": document,
            "report.html": page(report),
            "report.md": markdown(report.document),
        }
        for name, text in texts.items():
            path = folder / name
            partial = path.with_suffix(path.suffix + ".partial")
            partial.write_text(text, "utf-8")
            partial.replace(path)
            written.append(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"{folder} cannot be written to: {reason}.") from error
    return written[0], written[1]
