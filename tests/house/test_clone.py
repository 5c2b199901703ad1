"""A clone as git leaves it on a file system without symbolic links, and what the tree carries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "visavis"


@pytest.fixture
def linkless(tmp_path: Path) -> Path:
    """The clone with every link replaced by the small text file git writes instead."""
    package = tmp_path / "src" / "visavis"
    package.mkdir(parents=True)
    for entry in PACKAGE.iterdir():
        if entry.is_symlink():
            (package / entry.name).write_text(str(entry.readlink()))
        elif entry.suffix == ".py":
            shutil.copy(entry, package)
    return tmp_path


def test_without_links_the_import_says_what_to_do(linkless: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import visavis"],
        capture_output=True,
        text=True,
        cwd=linkless,
        env={"PYTHONPATH": str(linkless / "src")},
        timeout=60,
    )
    assert done.returncode != 0
    assert "no symbolic links" in done.stderr and "core.symlinks" in done.stderr


def test_without_links_make_says_what_to_do(linkless: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "check-machine"],
        capture_output=True,
        text=True,
        cwd=linkless,
        timeout=60,
    )
    assert done.returncode == 1
    assert "no symbolic links" in done.stderr


def test_an_old_python_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$*" in *version_info*) exit 1;; *) echo 3.9.2;; esac\n')
    old.chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts" / "check-machine"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHON": str(old), "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert done.returncode == 1
    assert "3.11" in done.stderr and "3.9.2" in done.stderr


def test_a_missing_program_comes_with_the_apt_line(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "check-machine"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 1
    assert "apt-get install git python3 python3-venv" in done.stderr


def tracked() -> list[Path]:
    """The files git tracks, where this is a checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT, check=False)
    return [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]


def test_the_tree_stays_small() -> None:
    files = tracked()
    assert files, "not a git checkout"
    total = sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink())
    assert total < 30e6, f"tracked files are {total / 1e6:.1f} MB"


def test_the_built_in_person_stays_small() -> None:
    assert (ROOT / "persons/presenter/presenter.person").stat().st_size <= 10_000_000


def test_every_room_is_linked() -> None:
    for path in ROOT.glob("*/__init__.py"):
        link = PACKAGE / path.parent.name
        assert link.is_symlink() and link.resolve() == path.parent
