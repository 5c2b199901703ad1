"""A browser extension that gives the avatar for a camera on the sites that were named.

Manifest V3, one content script in the page's own world, run before any of the page's. It asks for
no permission: what it may do is what the page may. The server's address and token stand in it, so
it is for the person who made it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from visavis import __version__
from visavis.engines.errors import ConfigError
from visavis.server.bundle import script

__all__ = ["extension_files", "write_extension"]

_SITE = re.compile(r"(https|http|\*)://(\*|(\*\.)?[a-z0-9.-]+)(:\d+)?/\*", re.IGNORECASE)


def extension_files(
    client: Mapping[str, bytes],
    *,
    server: str,
    sites: Sequence[str],
    person: str | None = None,
    token: str | None = None,
) -> dict[str, bytes]:
    """Return an extension's files by name.

    Args:
        client: the client's files; see `pages.load_pages`.
        server: its address.
        sites: match patterns, as in ``https://meet.example/*``.
        person: whose face; the server's own choice where None.
        token: of the server.

    Raises:
        ConfigError: the address is none, or a pattern.
    """
    if not re.match(r"https?://[^/\s]+", server):
        raise ConfigError(f"{server!r} is no address of a server, as in https://avatar.example.")
    if not sites:
        raise ConfigError("An extension is for one site at least, as in https://meet.example/*.")
    for site in sites:
        if not _SITE.fullmatch(site):
            raise ConfigError(f"{site!r} is no pattern of a site, as in https://meet.example/*.")
    options = {"src": server, "person": person, "token": token}
    manifest = {
        "manifest_version": 3,
        "name": "visavis avatar",
        "version": __version__.split("+")[0],
        "description": "Your avatar in the place of your camera.",
        "minimum_chrome_version": "111",
        "content_scripts": [
            {
                "matches": list(sites),
                "js": ["avatar.js"],
                "run_at": "document_start",
                "world": "MAIN",
                "all_frames": True,
            }
        ],
    }
    return {
        "manifest.json": (json.dumps(manifest, indent=2) + "\n").encode(),
        "avatar.js": script(client, "take-part.js", "takePart", options),
    }


def write_extension(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write an extension into a folder that is new or empty.

    Raises:
        ConfigError: there is something in it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty.")
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"{folder} cannot be written: {reason}.") from error
