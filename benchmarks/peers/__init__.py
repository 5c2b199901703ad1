"""The networks of other projects beside our renderer: one machine, one run, one way of counting.

Their code comes from clones that whoever runs this has; nothing of it is here. Weights are random,
since no cost depends on them. See ``docs/benchmarks.md`` for what can be compared.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load
from visavis.benchmarks.peers.networks import NETWORKS, PeerNetwork
from visavis.benchmarks.peers.one import OURS
from visavis.benchmarks.peers.ours import planes_shape, serving_runs
from visavis.benchmarks.peers.plot import plot as drawn
from visavis.benchmarks.peers.published import PUBLISHED
from visavis.benchmarks.peers.report import table
from visavis.engines.errors import ConfigError

__all__ = ["NETWORKS", "directions", "run", "table"]

LONGEST_S = 1800.0  # of one network


def directions() -> str:
    """What to clone where."""
    lines = ["Clone these, each into a folder of its own, and say --clones DIR:", ""]
    seen = set()
    for network in NETWORKS:
        if network.repository not in seen:
            seen.add(network.repository)
            lines.append(f"  git clone {network.repository} DIR/{network.folder}")
            lines.append(f"  git -C DIR/{network.folder} checkout {network.commit}")
    needs = sorted({need for network in NETWORKS for need in network.needs})
    lines += ["", f"MuseTalk's networks need {', '.join(needs)} as well, and all of them torch."]
    return "\n".join(lines)


def run(
    clones: Path,
    *,
    person: str = "presenter",
    batches: Sequence[int] = (1, 4, 8),
    seconds: float = 3.0,
    device: str = "cpu",
    networks: Sequence[str] | None = None,
    plot: Path | None = None,
) -> dict[str, Any]:
    """Time ours and every peer whose clone is there.

    Args:
        clones: where the clones lie.
        person: whose renderer stands for ours.
        batches: frames in a call.
        seconds: of each measurement.
        device: ``cpu`` (one thread) or ``cuda``.
        networks: names of peers; all by default.
        plot: where to draw it, as SVG.

    Returns:
        What `table` prints, JSON throughout. A network that could not be run has "not_run".

    Raises:
        ConfigError: torch or the device is missing, or a name is none of a peer.
        PersonFileError: the person cannot be loaded.
    """
    if plot is not None and not plot.parent.is_dir():
        raise ConfigError(f"{plot.parent} is no folder to draw in.")
    if find_spec("torch") is None:
        raise ConfigError("This needs torch: pip install 'visavis[export]'.")
    from visavis.models import network_timing

    about = network_timing.device_name(device)
    if about is None:
        raise ConfigError("This machine has no CUDA device that torch can use; --device cpu.")
    known = {network.name: network for network in NETWORKS}
    if unknown := set(networks or ()) - set(known):
        raise ConfigError(f"{unknown.pop()!r} is no network here; there are {', '.join(known)}.")
    loaded = load(person)
    planes = planes_shape(loaded)
    side = 2 * planes[-1]
    job = {"batches": list(batches), "seconds": seconds, "device": device}
    rows: list[dict[str, Any]] = [
        {
            "network": OURS,
            "title": f"visavis renderer ({loaded.name})",
            "pixels": [side, side],
            **_timed({**job, "network": OURS, "planes": planes}),
        }
    ]
    if device == "cpu":
        rows[0].setdefault("runs", []).extend(serving_runs(loaded, batches, seconds))
    for name in networks or list(known):
        rows.append(_peer(known[name], clones, job))
    for row in rows:
        width, height = row["pixels"]
        for one in row.get("runs", []):
            if "ms_a_frame" in one:
                one["frames_per_s"] = round(1000 / one["ms_a_frame"], 2)
                one["mpixel_per_s"] = round(width * height / 1e3 / one["ms_a_frame"], 3)
    result: dict[str, Any] = {
        "benchmark": "peers",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "device": about,
        "seconds": seconds,
        "rows": rows,
        "published": list(PUBLISHED),
    }
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    if plot is not None:
        plot.write_text(drawn(result), "utf-8")
    return result


def _peer(network: PeerNetwork, clones: Path, job: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "network": network.name,
        "title": network.title,
        "pixels": list(network.pixels),
        "repository": network.repository,
        "commit": _commit(clones / network.folder),
        "commit_read": network.commit,
        "notes": network.notes,
    }
    root = clones / network.folder
    there = root / network.root / f"{network.module.replace('.', '/')}.py"
    if network.evidence:
        there = root / network.evidence
    if not there.is_file():
        return row | {"not_run": f"there is no {there.relative_to(clones)} among the clones"}
    for package in network.needs:
        if find_spec(package) is None:
            return row | {"not_run": f"{package} is not installed"}
    return row | _timed({**job, "network": network.name, "clones": str(clones)})


def _timed(job: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own measured, or why it did not."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "visavis.benchmarks.peers.one"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return {"not_run": f"it took over {LONGEST_S:g} s"}
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it ended without a word"]
        return {"not_run": said[0][:300]}
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def _commit(clone: Path) -> str | None:
    """The commit of a clone; None where it is none, as an unpacked archive."""
    done = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "--show-toplevel", "HEAD"],
        capture_output=True,
        text=True,
    )
    lines = done.stdout.split()
    if done.returncode or Path(lines[0]).resolve() != clone.resolve():
        return None
    return lines[1]
