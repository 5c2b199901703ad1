"""The client as one file."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from visavis.server.bundle import BundleError, bundle
from visavis.server.pages import BUNDLE, load_pages


def text(**modules: str) -> dict[str, bytes]:
    return {f"{name}.js": source.encode() for name, source in modules.items()}


def test_modules_come_in_the_order_in_which_they_need_each_other(tmp_path: Path) -> None:
    made = bundle(
        text(
            a='import { twice } from "./b.js";\nimport { ONE } from "./c.js";\n\n'
            "export const three = () => ONE + twice(ONE);\n",
            b='import { ONE } from "./c.js";\nconst two = 2 * ONE;\n'
            "export function twice(x) {\n  return two * x;\n}\n",
            c="const ONE = 1;\nconst hidden = 7;\nexport { ONE };\n",
        ),
        "a.js",
    )
    assert re.findall(rb"^const (\$\w+) =", made, re.MULTILINE) == [b"$c", b"$b", b"$a"]
    assert b"export const { three } = $a;" in made
    module = tmp_path / "made.mjs"
    module.write_bytes(made + b"console.log(three());\n")
    run = subprocess.run(["node", str(module)], capture_output=True, text=True, check=True)
    assert run.stdout == "3\n"


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ({"a": 'import { x } from "./b.js";\n'}, "no module 'b.js'"),
        ({"a": 'import { x } from "./b.js";\n', "b": "export const y = 1;\n"}, "imports 'x'"),
        (
            {"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\n'},
            "circle of imports",
        ),
        ({"a": "export default 1;\n"}, "another form"),
        ({"a": 'import x from "elsewhere";\n'}, "another form"),
        ({"a": "const b = 1;\nexport { b as c };\n"}, "another name"),
    ],
)
def test_what_is_of_another_form_is_an_error(modules: dict[str, str], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        bundle(text(**modules), "a.js")


def test_the_clients_own_bundle_needs_nothing_else() -> None:
    made = load_pages()[BUNDLE].decode()
    assert not re.search(r"^import ", made, re.MULTILINE)
    assert 'sound-worklet.js", import.meta' not in made
    assert "registerProcessor" in made, "the worklet travels inside"


def test_the_types_name_what_there_is() -> None:
    """And the methods: a type that promises what is not there is worse than none."""
    folder = files("visavis.client_web")
    types = (folder / "visavis.d.ts").read_text()
    entry = (folder / "visavis.js").read_text()
    exported = re.search(r"^export \{([^}]*)\}", entry, re.MULTILINE)
    assert exported is not None
    names = {word.strip() for word in exported[1].split(",") if word.strip()}
    typed = re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)
    assert set(typed) == names
    for name, module in (("Avatar", "avatar.js"), ("VisavisAvatar", "avatar-element.js")):
        block = re.search(rf"^export class {name} .*?^}}", types, re.MULTILINE | re.DOTALL)
        assert block is not None
        members = set(re.findall(r"^  (?:readonly )?(\w+)[(:<]", block[0], re.MULTILINE))
        source = (folder / module).read_text()
        for member in members - {"addEventListener"}:
            assert re.search(rf"^  (?:async |get )?{member}\b", source, re.MULTILINE), member
