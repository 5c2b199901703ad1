"""The engine process of a server of many processes; ``visavis serve`` starts it."""

from __future__ import annotations

import sys

from visavis.cli.serving_engine import make_engine
from visavis.server.front.engine import run_engine

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(run_engine(make_engine))
