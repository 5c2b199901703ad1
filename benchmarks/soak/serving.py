"""The server that is soaked, in a process of its own: the real one, with nothing added.

Run as ``python -m visavis.benchmarks.soak.serving``; started by the benchmark, not by people.
"""

from __future__ import annotations

import argparse
import sys

from visavis.benchmarks.live.instruments import EchoEngine, background
from visavis.benchmarks.live.persons import load
from visavis.engines.client import EngineClient
from visavis.server.config import ServerConfig
from visavis.server.run import run_server

__all__ = ["main", "make_engine"]

MANY = 1000.0  # sessions a second that this one address may ask for


def make_engine(leg: str, person: str) -> EngineClient:
    """The ``person``, or the ``echo`` with the person's own background."""
    loaded = load(person)
    if leg == "echo":
        return EchoEngine(background(loaded), name=loaded.name, poster=loaded.poster)
    from visavis.engines.local import LocalEngine

    return LocalEngine([loaded])


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("leg", choices=("echo", "person"))
    parser.add_argument("--person", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(arguments)
    config = ServerConfig(port=given.port, requests_per_second=MANY)
    return run_server(config, lambda: make_engine(given.leg, given.person))


if __name__ == "__main__":
    sys.exit(main())
