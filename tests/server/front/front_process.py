"""A whole fleet for tests: the real front and workers, and a cheap engine."""

from __future__ import annotations

import json
import sys

from visavis.engines.client import EngineClient
from visavis.server.config import ServerConfig
from visavis.server.front.child import python
from visavis.server.front.plan import FleetPlan
from visavis.server.front.run import run_fleet


def connect(address: str, slots: int) -> EngineClient:
    from visavis.engines.remote.client import RemoteEngine

    return RemoteEngine(address, slots=slots)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    plan = FleetPlan(
        engine=python("tests.server.front.engine_process"),
        engine_settings=given["engine"],
        connect=connect,
        workers=given["workers"],
    )
    sys.exit(run_fleet(ServerConfig(port=0, **given["config"]), plan))
