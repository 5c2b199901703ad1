"""The measured server, in a process of its own: the real one, with a labelled engine in it.

Run as ``python -m visavis.benchmarks.live.serving``; started by the benchmark, not by people.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visavis.benchmarks.live.instruments import BarcodeEngine, EchoEngine, background
from visavis.benchmarks.live.persons import load
from visavis.engines.client import EngineClient
from visavis.server.config import ServerConfig
from visavis.server.run import run_server

__all__ = ["main", "make_engine"]


def make_engine(leg: str, person: str, folder: Path) -> EngineClient:
    """The engine to measure: ``person``, or the ``echo`` with the person's own background."""
    loaded = load(person)
    if leg == "echo":
        echo = EchoEngine(background(loaded), name=loaded.name, poster=loaded.poster)
        return BarcodeEngine(echo, folder)
    from visavis.engines.local import LocalEngine

    return BarcodeEngine(LocalEngine([loaded]), folder)


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("leg", choices=("echo", "person"))
    parser.add_argument("--person", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--turn", action="append", default=[], help="a TURN server's address")
    parser.add_argument("--turn-secret")
    given = parser.parse_args(arguments)
    config = ServerConfig(
        port=given.port, ice_servers=tuple(given.turn), turn_secret=given.turn_secret
    )
    # The first session that the engine notes is to be the visitor's.
    return run_server(
        config, lambda: make_engine(given.leg, given.person, given.folder), measure=False
    )


if __name__ == "__main__":
    sys.exit(main())
