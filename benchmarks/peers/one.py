"""One network in a process of its own, so that clones cannot get in each other's way.

Run as ``python -m visavis.benchmarks.peers.one``; started by the benchmark, not by people. Takes a
job as JSON on its input and gives what was measured, as JSON, as its last line.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from visavis.benchmarks.peers.networks import NETWORKS, PeerNetwork

__all__ = ["OURS", "build", "main", "measured"]

OURS = "ours"


def build(network: PeerNetwork, clones: Path) -> Any:
    """Make a peer's network from its clone, with random weights."""
    root = (clones / network.folder / network.root).resolve()
    sys.path.insert(0, str(root))
    module = importlib.import_module(network.module)
    made = getattr(module, network.attribute)(**network.arguments)
    if network.finish is not None:
        made = made.eval()
        getattr(module, network.finish)(made)
    return getattr(made, network.part) if network.part else made


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """What `models.network_timing.measure` says of the network that a job names."""
    from visavis.models import network_timing

    if job["network"] == OURS:
        made: Any = network_timing.our_renderer()
        inputs: dict[str, Any] = {"planes": job["planes"]}
    else:
        network = next(one for one in NETWORKS if one.name == job["network"])
        made, inputs = build(network, Path(job["clones"])), dict(network.inputs)
    return network_timing.measure(
        made, inputs, job["batches"], device=job["device"], seconds=job["seconds"]
    )


def main() -> int:
    """Measure and print."""
    result = json.dumps(measured(json.loads(sys.stdin.read())))
    print()  # a clone may have left a line unfinished
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
