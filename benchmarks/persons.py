"""Listing many persons: how long until a server knows whom it can show."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load
from visavis.benchmarks.sessions.copies import listed_only
from visavis.engines.errors import ConfigError
from visavis.engines.file_catalogue import FileCatalogue

__all__ = ["TARGET_MS", "run", "table"]

TARGET_MS = 100.0  # for a thousand that are known
STEP_S = 10.0  # of the catalogue's clock: it looks at the disk at most once a second


def run(*, person: str = "presenter", count: int = 1000, repeats: int = 5) -> dict[str, Any]:
    """Measure.

    Args:
        person: of whom copies are written, under other names and with their large parts cut short.
        count: how many.
        repeats: of each listing; medians count.

    Returns:
        "files", "bytes", and milliseconds: "new_ms", nobody has seen them; "known_ms", a start with
        the index of an earlier one; "again_ms", another look while running, "changed_ms", the same
        after one file was replaced. "passed": the slowest but the first keep to the target.

    Raises:
        PersonFileError: the person cannot be loaded.
        ConfigError: not everybody was listed.
    """
    loaded = load(person)
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder, cache = Path(name) / "persons", Path(name) / "cache"
        folder.mkdir()
        listed_only(loaded, count, folder)
        files = sorted(folder.iterdir())
        size = sum(file.stat().st_size for file in files)
        new, known = [], []
        for _ in range(repeats):
            shutil.rmtree(cache, ignore_errors=True)
            new.append(_timed(lambda: _require(_catalogue(folder, cache).persons(), count)))
            known.append(_timed(lambda: _require(_catalogue(folder, cache).persons(), count)))
        now = [0.0]
        catalogue = _catalogue(folder, cache, lambda: now[0])
        again, changed = [], []
        for number in range(repeats):
            now[0] += STEP_S
            again.append(_timed(lambda: _require(catalogue.persons(), count)))
            replaced = files[number % len(files)]
            replacement = folder / ".new"
            shutil.copyfile(replaced, replacement)
            os.replace(replacement, replaced)
            now[0] += STEP_S
            changed.append(_timed(lambda: _require(catalogue.persons(), count)))
    figures = {
        "new_ms": round(median(new), 2),
        "known_ms": round(median(known), 2),
        "again_ms": round(median(again), 2),
        "changed_ms": round(median(changed), 2),
    }
    return {
        "benchmark": "persons",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "files": count,
        "bytes": size,
        "repeats": repeats,
        **figures,
        "target_ms": TARGET_MS,
        "passed": all(v <= TARGET_MS for name, v in figures.items() if name != "new_ms"),
    }


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    about = result["machine"]
    lines = [
        f"{result['files']} person files of {result['bytes'] / result['files'] / 1024:.0f} KiB; "
        f"{about['cpu']}, {about['cores']} cores, load {about['load_before']} before; medians of "
        f"{result['repeats']}",
        "",
    ]
    for name, what in (
        ("new_ms", "nobody has seen them"),
        ("known_ms", "a start that finds the index of an earlier one"),
        ("again_ms", "another look while running"),
        ("changed_ms", "the same, one file replaced"),
    ):
        lines.append(f"  {what:48}{result[name]:9.1f} ms")
    verdict = "pass" if result["passed"] else "FAIL"
    lines.append(f"  all but the first within {result['target_ms']:.0f} ms: {verdict}")
    return "\n".join(lines)


def _catalogue(
    folder: Path, cache: Path, clock: Callable[[], float] = time.monotonic
) -> FileCatalogue:
    """As a server that starts makes it; whoever runs this shows nobody to anybody."""
    return FileCatalogue(folder=folder, promised=True, cache=cache, clock=clock)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def _require(listed: Sequence[object], count: int) -> None:
    """A listing that is quick because it is empty would be no result."""
    if len(listed) != count:
        raise ConfigError(f"Of {count} person files {len(listed)} were listed.")
