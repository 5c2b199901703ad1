"""A small WebDriver BiDi client: enough to drive Firefox without geckodriver.

Standard: https://www.w3.org/TR/webdriver-bidi/. Firefox speaks it by itself with
``--remote-debugging-port``; Playwright cannot drive a distribution's Firefox.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["BidiError", "BidiPage", "firefox"]

# Firefox's own test devices: a 440 Hz tone as microphone, allowed without asking.
PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.gmp-manager.updateEnabled": False,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class BidiError(Exception):
    """Firefox answered a command with an error, or did not answer."""


class BidiPage:
    """One tab. ``errors`` collects what the page logged as an error and threw uncaught."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.errors: list[str] = []
        self.command("session.new", {"capabilities": {}})
        self.command("session.subscribe", {"events": ["log.entryAdded"]})
        tree = self.command("browsingContext.getTree", {})
        self._context = tree["contexts"][0]["context"]

    def command(
        self, method: str, params: dict[str, Any], *, seconds: float = 30
    ) -> dict[str, Any]:
        """Sends one command and returns its result. Raises BidiError."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=left))
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.errors.append(message["params"]["text"])
            if message.get("id") != self._number:
                continue
            if message["type"] == "error":
                raise BidiError(f"{method}: {message['error']}: {message['message']}")
            result: dict[str, Any] = message["result"]
            return result
        raise BidiError(f"{method}: no answer within {seconds} s")

    def open(self, url: str) -> None:
        self.command(
            "browsingContext.navigate",
            {"context": self._context, "url": url, "wait": "complete"},
        )

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression (awaited), by way of JSON."""
        result = self.command(
            "script.evaluate",
            {
                "expression": f"(async () => JSON.stringify(await ({expression})))()",
                "target": {"context": self._context},
                "awaitPromise": True,
                "userActivation": True,
            },
        )
        if result["type"] == "exception":
            raise BidiError(result["exceptionDetails"]["text"])
        text = result["result"].get("value")
        return None if text is None else json.loads(text)

    def wait(self, expression: str, *, seconds: float = 20) -> Any:
        """Waits until the expression is truthy and returns its value. Raises BidiError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := self.run(expression):
                return value
            time.sleep(0.1)
        raise BidiError(f"still not true after {seconds} s: {expression}")

    def press(self, key: str) -> None:
        """One key, as from a keyboard (WebDriver key values for the special ones)."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.command(
            "input.performActions",
            {
                "context": self._context,
                "actions": [{"type": "key", "id": "keyboard", "actions": actions}],
            },
        )

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element."""
        box = self.run(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        actions = [
            {"type": "pointerMove", "x": int(box[0]), "y": int(box[1])},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self.command(
            "input.performActions",
            {
                "context": self._context,
                "actions": [{"type": "pointer", "id": "mouse", "actions": actions}],
            },
        )


@contextmanager
def firefox(executable: str, profile: Path) -> Iterator[BidiPage]:
    """Starts a headless Firefox with a fresh profile; yields its one tab."""
    profile.mkdir(parents=True, exist_ok=True)
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [
            executable,
            "--headless",
            "--no-remote",
            "--remote-debugging-port=0",
            "--profile",
            profile,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = None
        for line in process.stderr:
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
                address = found[1]
                break
        if address is None:
            raise BidiError("Firefox ended before it listened")
        with connect(f"{address}/session", max_size=None) as socket:
            yield BidiPage(socket)
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()
