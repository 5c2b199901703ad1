"""The files of the browser extension."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines.errors import ConfigError
from visavis.server.bundle import BundleError, script
from visavis.server.extension import extension_files, write_extension
from visavis.server.pages import load_pages

SERVER = "https://avatar.example"
SITES = ["https://meet.example/*"]


def test_the_script_runs_where_modules_do_not_and_leaves_no_name(tmp_path: Path) -> None:
    files = {"a.js": b"export function greet(x) {\n  console.log(x.word);\n}\n"}
    path = tmp_path / "made.js"
    path.write_bytes(script(files, "a.js", "greet", {"word": 'it\'s "quoted"'}))
    check = f"require('vm').runInThisContext(require('fs').readFileSync({json.dumps(str(path))}))"
    words = f"{check}; console.log(typeof $a, typeof greet)"
    run = subprocess.run(["node", "-e", words], capture_output=True, text=True, check=True)
    assert run.stdout == 'it\'s "quoted"\nundefined undefined\n'
    with pytest.raises(BundleError, match="does not export 'sing'"):
        script(files, "a.js", "sing")


def test_it_asks_for_nothing_but_its_sites() -> None:
    files = extension_files(load_pages(), server=SERVER, sites=SITES, token="t", person="anna")
    manifest = json.loads(files["manifest.json"])
    assert manifest["manifest_version"] == 3
    assert not manifest.keys() & {"permissions", "host_permissions", "background"}
    [part] = manifest["content_scripts"]
    assert (part["matches"], part["world"], part["run_at"]) == (SITES, "MAIN", "document_start")
    assert b'"src": "https://avatar.example"' in files["avatar.js"]


@pytest.mark.parametrize(
    ("server", "sites", "words"),
    [
        ("avatar.example", SITES, "no address of a server"),
        ("javascript:alert(1)", SITES, "no address of a server"),
        (SERVER, [], "one site at least"),
        (SERVER, ["meet.example"], "no pattern of a site"),
        (SERVER, ["<all_urls>"], "no pattern of a site"),
    ],
)
def test_refusals(server: str, sites: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        extension_files({}, server=server, sites=sites)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        write_extension(tmp_path, {"manifest.json": b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "avatar"
    words = ["extension", "--server", SERVER, "--site", SITES[0], "--out", str(out)]
    assert main(words) == 0
    assert {path.name for path in out.iterdir()} == {"manifest.json", "avatar.js"}
    assert "chrome://extensions" in capsys.readouterr().out
    assert main(words) == ExitCode.STARTUP_FAILURE, "a second time it is not empty"
