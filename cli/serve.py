"""``visavis serve``: the server."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from visavis.cli.options import PERSON_HELP, Commands, add_consent, promises_consent
from visavis.cli.serving_engine import engine_settings, make_engine
from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from visavis.server.config import ServerConfig

__all__ = ["add_parser"]

DESCRIPTION = """\
Serve the page and the live sessions.

    visavis serve                                     on this machine, with the built-in person
    visavis serve --person me.person                  with a person of yours
    visavis serve --persons FOLDER                    with everybody in a folder
    visavis serve --host 0.0.0.0 --https --token SECRET   for a phone in the same network

A browser gives a page the microphone only on localhost or over https. Without --token the server
answers this machine alone; --open serves anybody who reaches it.

A person whose file does not state that who is shown agreed is refused, unless you say
--i-have-consent.

The environment variables VISAVIS_HOST, VISAVIS_PORT, VISAVIS_PERSON and VISAVIS_I_HAVE_CONSENT=1
set the defaults. How to go from here to the open internet: docs/network.md. How a
large machine is used: docs/processes.md.
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
    parser.add_argument(
        "--persons",
        metavar="FOLDER",
        help="show everybody in this folder; who is asked for is loaded then",
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
        help="how many people at once (default: as many as the machine was measured to carry)",
    )
    parser.add_argument(
        "--viewers",
        type=int,
        default=100,
        metavar="N",
        help="how many may watch over WHEP at once, in each process (100; docs/whip-whep.md)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that send sound and pictures, beside one that draws; 0 for one process in "
        "all (default: 0 with 8 cores or fewer, or for at most 20 people; else one for 20 people)",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        metavar="B",
        help="what runs the networks, as `visavis doctor` names it (default: the fastest there is)",
    )
    parser.add_argument(
        "--encoder",
        choices=("auto", "vp8", "x264", "nvenc"),
        default="auto",
        help="what compresses pictures: the processor (vp8, x264) or an NVIDIA card (nvenc); auto "
        "takes the card where it has such an encoder, else vp8",
    )
    parser.add_argument(
        "--memory",
        type=int,
        metavar="MIB",
        help="what loaded persons may take together (default: a share of what is free)",
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
    parser.add_argument(
        "--backgrounds",
        metavar="FOLDER",
        help="let visitors stand before the pictures in this folder (jpg, png; docs/looks.md)",
    )
    parser.add_argument(
        "--no-badge",
        action="store_true",
        help="leave the words 'AI-generated' out of the picture; say it in another way then",
    )
    parser.add_argument(
        "--recordings",
        metavar="FOLDER",
        help="let visitors record their sessions to this folder (docs/recording.md)",
    )
    parser.add_argument(
        "--record-all",
        action="store_true",
        help="record every session to it; whoever talks must be told",
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
        viewers=args.viewers,
        ice_servers=tuple(args.ice_server),
        turn_secret=args.turn_secret or os.environ.get("VISAVIS_TURN_SECRET") or None,
        relay_only=args.relay_only,
        announce=args.announce,
        udp_ports=args.udp_ports,
        encoder=args.encoder,
        badge=not args.no_badge,
        backgrounds=args.backgrounds,
        recordings=args.recordings,
        record_all=args.record_all,
    )
    persons = args.person or [name for name in [os.environ.get("VISAVIS_PERSON")] if name]
    if not persons and args.persons is None:
        persons = ["presenter"]
    if args.memory is not None and args.memory < 1:
        raise ConfigError("--memory must be at least 1 MiB.")
    settings = engine_settings(
        persons=persons,
        folder=args.persons,
        promised=promises_consent(args),
        backend=args.backend,
        sessions=args.max_sessions,
        memory_mib=args.memory,
    )
    if not splits(args.workers, args.max_sessions):
        return run_server(config, lambda: make_engine(settings))
    return run_split(config, settings, args)


def splits(workers: int | None, sessions: int | None) -> bool:
    """Whether to run several processes: as many as were asked for, or by the machine's size."""
    from visavis.engines.cores import available_cores
    from visavis.server.front.sharing import wants_workers

    if workers is None:
        return wants_workers(available_cores(), sessions)
    if workers < 0:
        raise ConfigError("--workers must be at least 0.")
    return workers > 0


def run_split(config: ServerConfig, settings: dict[str, object], args: argparse.Namespace) -> int:
    """Run as a front, with an engine process and workers."""
    from visavis.engines.remote.client import RemoteEngine
    from visavis.server.front.child import python
    from visavis.server.front.plan import FleetPlan
    from visavis.server.front.run import run_fleet

    plan = FleetPlan(
        engine=python("visavis.cli.engine_process"),
        engine_settings=settings,
        connect=lambda address, slots: RemoteEngine(address, slots=slots),
        workers=args.workers,
        verbose=args.verbose,
    )
    return run_fleet(config, plan)


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
