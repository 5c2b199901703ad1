"""Processes that do not start, do not stay and do not end: real ones, each a line of Python."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.engines.errors import ConfigError, EngineError, PersonFileError, VisavisError
from visavis.server.config import ServerConfig
from visavis.server.front.backoff import MINUTE, STARTS_PER_MINUTE, STEADY_SECONDS, Backoff
from visavis.server.front.child import Child, ChildSpec, describe_failure
from visavis.server.front.settings import WorkerSettings, read_worker_settings, worker_config
from visavis.server.front.supervisor import Supervised

READY = (
    "import sys, json; given = json.loads(sys.stdin.readline()); "
    "print(json.dumps(given), flush=True); "
)
UNTIL_ORPHANED = "sys.stdin.read()"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def script(code: str, **settings: Any) -> ChildSpec:
    return ChildSpec("toy", (sys.executable, "-S", "-c", code), settings)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_child_is_told_and_says_and_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    log = "print('once\\ntwice', file=sys.stderr); print('x' * 50_000, file=sys.stderr); "
    child = await Child.start(
        script(
            "import sys; " + log + READY + "print('later', flush=True); " + UNTIL_ORPHANED,
            a=[1, "ä"],
        )
    )
    assert await child.ready == {"a": [1, "ä"]}
    child.send_signal(signal.SIGTERM)
    assert await child.wait() == -signal.SIGTERM
    lines = capfd.readouterr().err.splitlines()
    name = f"[toy {child.pid}] "
    assert all(line.startswith(name) for line in lines)
    assert [line for line in lines if "x" not in line and "later" not in line] == [
        name + "once",
        name + "twice",
    ]
    assert sum(line.count("x") for line in lines) == 50_000


async def test_a_child_whose_input_ends_knows_that_it_is_alone() -> None:
    child = await Child.start(script(READY + UNTIL_ORPHANED))
    await child.ready
    assert child._process.stdin is not None
    child._process.stdin.close()
    assert await child.wait() == 0


async def test_what_a_child_leaves_behind_is_not_waited_for() -> None:
    grandchild = "import subprocess; subprocess.Popen(['sleep', '5']); "
    child = await Child.start(script(grandchild + READY + UNTIL_ORPHANED))
    await child.ready
    started = time.monotonic()
    assert await child.stop(3.0) == -signal.SIGTERM
    assert time.monotonic() - started < 4


async def test_a_child_that_is_deaf_is_killed() -> None:
    child = await Child.start(script(DEAF + READY + "time.sleep(60)"))
    await child.ready
    assert await child.stop(0.1) == -signal.SIGKILL
    assert gone(child.pid) and await child.stop(0.1) == -signal.SIGKILL


@pytest.mark.parametrize(
    "error",
    [ConfigError("No such port."), PersonFileError("Not a person."), EngineError("No engine.")],
)
async def test_why_it_cannot_start_arrives_as_it_was(error: VisavisError) -> None:
    code = "import sys; sys.stdin.readline(); print(sys.argv[1])"
    spec = script(code)
    spec = ChildSpec("toy", (*spec.argv, json.dumps(describe_failure(error))))
    child = await Child.start(spec)
    with pytest.raises(type(error)) as caught:
        await child.ready
    assert str(caught.value) == str(error) and type(caught.value) is type(error)
    await child.wait()


@pytest.mark.parametrize("code", ["pass", "print('Segmentation fault')", "print('[1]')"])
async def test_a_child_that_says_nothing_of_sense_has_failed(code: str) -> None:
    supervised = Supervised(
        lambda: script(code), on_up=_nothing, on_down=lambda: None, ready_seconds=5.0
    )
    with pytest.raises(EngineError, match="The toy process ended before it was ready"):
        await supervised.start()
    assert supervised.restarts == 0
    await supervised.stop(1.0)


async def test_a_child_that_is_never_ready_is_not_waited_for() -> None:
    supervised = Supervised(
        lambda: script("import time; time.sleep(60)"),
        on_up=_nothing,
        on_down=lambda: None,
        ready_seconds=0.2,
    )
    with pytest.raises(EngineError, match="not ready within"):
        await supervised.start()
    assert supervised.pid is not None and gone(supervised.pid)


async def _nothing(said: dict[str, Any]) -> None:
    pass


async def test_what_ends_is_started_again_and_what_was_told_to_end_is_not() -> None:
    lives: list[str] = []

    async def up(said: dict[str, Any]) -> None:
        lives.append("up")

    supervised = Supervised(
        lambda: script(READY + UNTIL_ORPHANED),
        on_up=up,
        on_down=lambda: lives.append("down"),
        ready_seconds=10.0,
        backoff=Backoff(first=0.01),
    )
    await supervised.start()
    first = supervised.pid
    assert first is not None and supervised.up
    os.kill(first, signal.SIGKILL)
    await until(lambda: lives == ["up", "down", "up"])
    assert supervised.pid != first and supervised.restarts == 1
    second = supervised.pid
    assert second is not None
    supervised.terminate()
    await until(lambda: supervised.ended)
    await supervised.stop(1.0)
    assert lives == ["up", "down", "up", "down"] and gone(second)


async def test_what_does_not_stay_up_is_said_and_tried_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    supervised = Supervised(
        lambda: script(READY + "import time; time.sleep(0.02); sys.exit(3)"),
        on_up=_nothing,
        on_down=lambda: None,
        ready_seconds=10.0,
        backoff=Backoff(first=0.001),
        clock=lambda: now,
    )
    await supervised.start()
    await until(lambda: supervised.failing)
    assert supervised.restarts == STARTS_PER_MINUTE - 1
    assert "does not stay up" in caplog.text and "exit status 3" in caplog.text
    await asyncio.sleep(0.2)
    assert supervised.restarts == STARTS_PER_MINUTE - 1
    await supervised.stop(1.0)


@given(st.lists(st.floats(0.0, 50.0), min_size=1, max_size=60))
def test_no_minute_has_more_starts_than_it_may(lives: list[float]) -> None:
    backoff, now, starts = Backoff(), 0.0, []
    for life in lives:
        backoff.started(now)
        starts.append(now)
        due = backoff.ended(now + life)
        assert now + life < due <= now + life + MINUTE
        now = due
    for first, seventh in zip(starts, starts[STARTS_PER_MINUTE:], strict=False):
        assert seventh - first >= MINUTE - 1e-6


def test_delays_double_until_it_was_steady() -> None:
    backoff = Backoff(first=1.0, most=100)
    delays, now = [], 0.0
    for life in (0, 0, 0, STEADY_SECONDS, 0):
        backoff.started(now)
        delays.append(backoff.ended(now + life) - now - life)
        now += life + delays[-1]
    assert delays == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_a_worker_is_told_all_but_what_the_front_looks_after() -> None:
    config = ServerConfig(
        host="0.0.0.0",
        token="hush",
        max_sessions=50,
        ice_servers=("stun:h:1",),
        udp_ports=(50_000, 50_100),
        announce="192.0.2.1",
    )
    settings = WorkerSettings(
        number=3,
        socket="/s",
        engine="/e",
        slots=25,
        measure=True,
        verbose=1,
        config=worker_config(config, 2),
    )
    read = read_worker_settings(json.loads(json.dumps(settings.to_json())))
    assert read == settings
    assert read.config.udp_ports == (50_000, 50_100) and read.config.announce == "192.0.2.1"
    assert read.config.token is None and read.config.max_sessions is None
    assert "hush" not in json.dumps(settings.to_json())


@pytest.mark.parametrize("wrong", [{}, {"config": 1}, {"config": {"nothing": 1}}, {"config": {}}])
def test_other_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        read_worker_settings(wrong)
