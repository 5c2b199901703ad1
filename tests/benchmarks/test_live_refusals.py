from __future__ import annotations

from pathlib import Path

import pytest

from visavis.benchmarks import extra, live
from visavis.benchmarks.live import browser
from visavis.engines.errors import ConfigError


def test_without_chromium_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISAVIS_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="apt-get install chromium"):
        browser.find_chromium()


def test_a_chromium_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chromium").write_text("")
    with pytest.raises(ConfigError, match="not a program"):
        browser.find_chromium(tmp_path / "chromium")


def test_the_given_chromium_is_taken(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("")
    program.chmod(0o755)
    assert browser.find_chromium(program) == program


@pytest.mark.parametrize("missing", ["playwright", "psutil"])
def test_without_the_extra_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(ConfigError, match=r"visavis\[bench\]"):
        live.run(person="presenter")


def test_too_short_a_measurement_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 20 seconds"):
        live.run(person="presenter", seconds=5)
