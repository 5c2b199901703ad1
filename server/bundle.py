"""The client's modules as one module, for pages of other sites: one file, no dependency.

The modules are our own and plain: named imports of siblings, named exports before a declaration or
in one list. So each becomes a function that returns what it exports, in the order in which they
need each other, and nothing has to be parsed. What is not of that form is an error at the start,
not a page that fails later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

__all__ = ["BundleError", "bundle", "script"]

_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"\./([\w-]+\.js)";\n', re.MULTILINE)
_DECLARED = re.compile(
    r"^export (?=(?:async )?(?:function\*?|class|const|let) ([A-Za-z_$][\w$]*))", re.MULTILINE
)
_LISTED = re.compile(r"^export \{([^}]*)\};\n", re.MULTILINE)
# A worklet runs in a world of its own, so its code travels as a text.
_WORKLET = re.compile(r'new URL\("([\w-]+\.js)", import\.meta\.url\)')


class BundleError(ValueError):
    """A module is not of the form above."""


def bundle(files: Mapping[str, bytes], entry: str) -> bytes:
    """Return one module with the exports of `entry`.

    Args:
        files: the client's files by name.
        entry: one of them.

    Raises:
        BundleError: a module has other imports or exports, or is not there, or they go in a circle.
    """
    texts, exports = _modules(files, entry)
    names = exports[entry]
    last = f"export const {{ {', '.join(names)} }} = {_variable(entry)};\n"
    return ("".join(texts) + last).encode()


def script(files: Mapping[str, bytes], entry: str, call: str, *arguments: object) -> bytes:
    """Return a classic script that calls one of the exports of `entry`, and leaves no name behind.

    Args:
        files, entry: as for :func:`bundle`.
        call: the export's name.
        arguments: what JSON can say.

    Raises:
        BundleError: as there, or there is no such export.
    """
    texts, exports = _modules(files, entry)
    if call not in exports[entry]:
        raise BundleError(f"{entry} does not export {call!r}.")
    given = ", ".join(json.dumps(argument) for argument in arguments)
    body = f"{''.join(texts)}{_variable(entry)}.{call}({given});\n"
    if "import.meta" in body:
        raise BundleError(f"{entry} asks where it came from, which a classic script cannot.")
    return f"(() => {{\n{body}}})();\n".encode()


def _modules(files: Mapping[str, bytes], entry: str) -> tuple[list[str], dict[str, list[str]]]:
    texts: list[str] = []
    exports: dict[str, list[str]] = {}
    under_way: list[str] = []

    def add(name: str) -> None:
        if name in exports:
            return
        if name in under_way:
            raise BundleError(f"{' -> '.join([*under_way, name])} is a circle of imports.")
        if name not in files:
            raise BundleError(f"There is no module {name!r}.")
        under_way.append(name)
        source = files[name].decode()
        for needed in _IMPORT.finditer(source):
            add(needed[2])
        under_way.pop()
        exports[name] = _exports(name, source)
        texts.append(_wrapped(name, source, exports, files))

    add(entry)
    return texts, exports


def _exports(name: str, source: str) -> list[str]:
    names = _DECLARED.findall(source)
    for listed in _LISTED.findall(source):
        names += [word.strip() for word in listed.split(",") if word.strip()]
    if any(" " in word for word in names):
        raise BundleError(f"{name} exports under another name.")
    return names


def _wrapped(
    name: str, source: str, exports: Mapping[str, list[str]], files: Mapping[str, bytes]
) -> str:
    def taken(found: re.Match[str]) -> str:
        if found[1] is None:
            return ""
        words = [word.strip() for word in found[1].split(",") if word.strip()]
        if missing := [word for word in words if word not in exports[found[2]]]:
            raise BundleError(f"{name} imports {missing[0]!r}, which {found[2]} does not export.")
        return f"const {{ {', '.join(words)} }} = {_variable(found[2])};\n"

    def worklet(found: re.Match[str]) -> str:
        text = json.dumps(bundle(files, found[1]).decode()).replace("</", "<\\/")
        return f'URL.createObjectURL(new Blob([{text}], {{ type: "text/javascript" }}))'

    body = _IMPORT.sub(taken, source)
    body = _LISTED.sub("", _DECLARED.sub("", body))
    body = _WORKLET.sub(worklet, body)
    # Modules lie in a folder of the server, the bundle beside it.
    body = body.replace('new URL("..", import.meta.url)', 'new URL(".", import.meta.url)')
    if re.search(r"^(?:import|export)\b", body, re.MULTILINE):
        raise BundleError(f"{name} has an import or export of another form.")
    return (
        f"const {_variable(name)} = (() => {{\n{body}"
        f"return {{ {', '.join(exports[name])} }};\n}})();\n"
    )


def _variable(name: str) -> str:
    return "$" + name.removesuffix(".js").replace("-", "_")
