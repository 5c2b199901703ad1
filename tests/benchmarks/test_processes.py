from __future__ import annotations

import os
import subprocess
import sys
import time

from visavis.benchmarks.live.processes import TreeMeter

BURN = "import time\nend = time.process_time() + {0}\nwhile time.process_time() < end: pass\n"


def burner(seconds: float, *, then: str = "") -> str:
    """A program that uses this much processor time, then does something."""
    return BURN.format(seconds) + then


def test_children_count_also_after_they_ended() -> None:
    wait = "import sys; sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()"
    child = (
        "import subprocess, sys\n"
        f"inner = subprocess.Popen([sys.executable, '-c', {burner(0.4, then=wait)!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "inner.stdout.read(1)\n"
        "sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read(1)\n"
        "inner.communicate()\n"
        "sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read(1)\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", child], stdin=pipe, stdout=pipe) as process:
        assert process.stdin and process.stdout
        meter = TreeMeter(process.pid)
        process.stdout.read(1)
        used = meter.sample()
        assert 0.35 < used < 1.5
        process.stdin.write(b".")
        process.stdin.flush()
        process.stdout.read(1)
        assert meter.sample() >= used
        process.stdin.write(b".")
        process.stdin.flush()


def test_a_sleeping_tree_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.stdin
        meter = TreeMeter(process.pid)
        deadline = time.monotonic() + 10
        before = meter.sample()
        while (now := meter.sample()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(0.2)
        assert meter.sample() - before < 0.05
        process.stdin.close()


def test_programs_that_do_not_count_are_left_out() -> None:
    own = os.path.basename(os.readlink("/proc/self/exe"))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert TreeMeter(process.pid, without=(own, "python", "python3")).sample() == 0
        process.stdin.close()
