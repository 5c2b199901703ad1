"""What holds for every test: seconds a room may take, allowed skips, and second tries."""

from __future__ import annotations

import os
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RULES = tomllib.loads((HERE / "rules.toml").read_text())

_seconds: dict[str, float] = defaultdict(float)
_skips: list[tuple[str, str]] = []
_second_tries: list[str] = []


def room_of(nodeid: str) -> str:
    """The room a test belongs to: the folder under ``tests/``."""
    parts = nodeid.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 else "tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that need the machine in real time try again once, and say so at the end."""
    for item in items:
        if room_of(item.nodeid) in RULES["second_try"]:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the seconds of each room, and keep every reason for a skip."""
    _seconds[room_of(report.nodeid)] += report.duration
    if report.outcome == "rerun":
        _second_tries.append(f"{report.nodeid}\n{report.longreprtext[-2000:]}")
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips.append((report.nodeid, reason.removeprefix("Skipped: ")))


def forbidden_skips() -> list[str]:
    """Skips whose reason does not stand in ``tests/rules.toml``."""
    allowed = RULES["allowed_skips"]
    return [f"{node}: {why}" for node, why in _skips if not any(why.startswith(a) for a in allowed)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each room took beside its budget, and the skips that CI does not allow."""
    terminalreporter.section("seconds a room")
    for room, seconds in sorted(_seconds.items()):
        budget = RULES["budget_seconds"].get(room, 10)
        over = "  over its budget" if seconds > budget else ""
        terminalreporter.write_line(f"{room:12} {seconds:6.1f} of {budget:4}{over}")
    if _second_tries:
        terminalreporter.section("tried a second time")
        for line in _second_tries:
            terminalreporter.write_line(line)
    if os.environ.get("CI") and (forbidden := forbidden_skips()):
        terminalreporter.section("skips that tests/rules.toml does not allow")
        for line in forbidden:
            terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip outside the committed list fails the run."""
    if os.environ.get("CI") and session.exitstatus == 0 and forbidden_skips():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
