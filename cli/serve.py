"""``visavis serve``: the server."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from visavis.cli.options import (
    PERSON_HELP,
    Commands,
    add_consent,
    load_to_show,
    promises_consent,
)
from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from visavis.engines.client import EngineClient

__all__ = ["add_parser"]

DESCRIPTION = """\
Serve the page and the live sessions.

    visavis serve                                     on this machine, with the built-in person
    visavis serve --person me.person                  with a person of yours
    visavis serve --host 0.0.0.0 --https --token SECRET   for a phone in the same network

A browser gives a page the microphone only on localhost or over https. Without --token the server
answers this machine alone; --open serves anybody who reaches it.

A person whose file does not state that who is shown agreed is refused, unless you say
--i-have-consent.

The environment variables VISAVIS_HOST, VISAVIS_PORT, VISAVIS_PERSON and VISAVIS_I_HAVE_CONSENT=1
set the defaults. How to go from here to the open internet: docs/network.md.
"""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Describe the subcommand to argparse."""
    parser = commands.add_parser(
        "serve",
        help="serve the page and the live sessions",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (8080)")
    parser.add_argument(
        "--person", action="append", metavar="P", help=f"{PERSON_HELP}; may be given several times"
    )
    add_consent(parser)
    access = parser.add_mutually_exclusive_group()
    access.add_argument("--token", help="ask every visitor for this token")
    access.add_argument("--open", action="store_true", help="let anybody in who reaches the port")
    parser.add_argument(
        "--https", action="store_true", help="make a local certificate and serve over https"
    )
    parser.add_argument(
        "--max-sessions",
        type=int,
        metavar="N",
        help="how many people at once (default: measured at start)",
    )
    parser.add_argument(
        "--ice-server",
        action="append",
        default=[],
        metavar="URL",
        help="a STUN or TURN server, stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT",
    )
    parser.add_argument(
        "--turn-secret",
        metavar="SECRET",
        help="shared with a TURN server, turn:HOST:PORT, for passwords that expire "
        "(better in VISAVIS_TURN_SECRET: others on this machine can read a command line)",
    )
    parser.add_argument(
        "--relay-only", action="store_true", help="use TURN alone, to see whether it works"
    )
    parser.add_argument(
        "--announce",
        metavar="ADDRESS",
        help="the public address, where a NAT leads its UDP ports to this machine one to one",
    )
    parser.add_argument(
        "--udp-ports",
        type=port_range,
        metavar="LOW-HIGH",
        help="UDP ports for sessions (default: the system's own range)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until stopped."""
    from visavis.server.config import ServerConfig
    from visavis.server.run import run_server

    config = ServerConfig(
        host=args.host or os.environ.get("VISAVIS_HOST") or "127.0.0.1",
        port=default_port() if args.port is None else args.port,
        token=args.token,
        open=args.open,
        https=args.https,
        max_sessions=args.max_sessions,
        ice_servers=tuple(args.ice_server),
        turn_secret=args.turn_secret or os.environ.get("VISAVIS_TURN_SECRET") or None,
        relay_only=args.relay_only,
        announce=args.announce,
        udp_ports=args.udp_ports,
    )
    names = tuple(args.person or [os.environ.get("VISAVIS_PERSON") or "presenter"])
    promised = promises_consent(args)

    def engine() -> EngineClient:
        from visavis.engines.local import LocalEngine

        return LocalEngine([load_to_show(name, promised=promised) for name in names])

    return run_server(config, engine)


def port_range(text: str) -> tuple[int, int]:
    """``LOW-HIGH`` as two numbers."""
    low, separator, high = text.partition("-")
    if not (separator and low.isdecimal() and high.isdecimal()):
        raise argparse.ArgumentTypeError(f"write LOW-HIGH, as in 50000-50100, not {text!r}")
    return int(low), int(high)


def default_port() -> int:
    """The port that VISAVIS_PORT names, or 8080."""
    text = os.environ.get("VISAVIS_PORT") or "8080"
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"VISAVIS_PORT must be a number, not {text!r}.") from None
