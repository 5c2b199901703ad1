from __future__ import annotations

import datetime
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509

from visavis.engines.errors import ConfigError
from visavis.server.config import IceServer, ServerConfig, parse_ice_server
from visavis.server.errors import TooMany
from visavis.server.limits import RateLimit
from visavis.server.reaping import Silence, SilencePolicy
from visavis.server.run import address_to_open, bind
from visavis.server.tls import local_certificate

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "values",
    [
        {"host": "0.0.0.0"},
        {"host": "192.0.2.7"},
        {"host": "::"},
        {"host": "example.org"},
        {"token": "a", "open": True},
        {"token": " "},
        {"port": 70_000},
        {"max_sessions": 0},
        {"ice_servers": ("http://x",)},
        {"ice_servers": ("turn:192.0.2.1:3478",)},
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerConfig(**values)  # type: ignore[arg-type]
    assert str(caught.value).endswith((".", "…"))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.0.0.2"},
        {"host": "0.0.0.0", "token": "secret"},
        {"host": "0.0.0.0", "open": True},
    ],
)
def test_what_is_safe_is_accepted(values: dict[str, object]) -> None:
    ServerConfig(**values)  # type: ignore[arg-type]


def test_ice_servers() -> None:
    assert parse_ice_server("stun:h:1") == IceServer("stun:h:1")
    assert parse_ice_server("turns:u:p%40q@h:1") == IceServer("turns:h:1", "u", "p@q")


def test_what_to_open() -> None:
    def address(lan: tuple[str, ...] = ("192.0.2.5",), **values: object) -> str:
        return address_to_open(ServerConfig(**values), 8080, lan)  # type: ignore[arg-type]

    assert address() == "http://127.0.0.1:8080/"
    assert address(host="::1") == "http://[::1]:8080/"
    assert address(host="0.0.0.0", open=True) == "http://localhost:8080/"
    assert address(host="0.0.0.0", token="a b", https=True) == (
        "https://192.0.2.5:8080/?token=a%20b"
    )
    assert address((), host="0.0.0.0", open=True, https=True) == "https://localhost:8080/"


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} on 127.0.0.1 is taken"):
            bind("127.0.0.1", port)
    with pytest.raises(ConfigError, match="not an address of this machine"):
        bind("198.51.100.1", 0)
    with pytest.raises(ConfigError, match="not known"):
        bind("no such host", 0)


def test_the_rate_limit_lets_a_burst_through_and_then_a_trickle() -> None:
    limit = RateLimit(per_second=2, burst=3)
    for _ in range(3):
        limit.check("a", 0.0)
    with pytest.raises(TooMany) as caught:
        limit.check("a", 0.0)
    assert caught.value.retry_after == 1
    limit.check("b", 0.0)
    limit.check("a", 0.6)
    with pytest.raises(TooMany):
        limit.check("a", 0.7)


def test_the_rate_limit_remembers_only_so_many_addresses() -> None:
    limit = RateLimit(per_second=1, burst=1)
    for number in range(5000):
        limit.check(str(number), 0.0)
    limit.check("0", 0.0)  # forgotten long ago
    with pytest.raises(TooMany):
        limit.check("4999", 0.0)


def test_silence_is_borne_for_a_while() -> None:
    silence = Silence(SilencePolicy(connect=15, suspend=4, resume=30), now=0.0)
    assert silence.look("connecting", 0, 14.0) == "keep"
    assert silence.look("live", 10, 16.0) == "keep"
    assert silence.look("live", 20, 25.0) == "keep"
    assert silence.look("live", 20, 28.9) == "keep"
    assert silence.look("live", 20, 29.1) == "suspend"
    assert silence.look("suspended", 20, 29.6) == "keep"
    assert silence.look("suspended", 21, 40.0) == "resume"
    assert silence.look("live", 21, 43.9) == "keep"
    assert silence.look("live", 21, 44.1) == "suspend"
    assert silence.look("suspended", 21, 44.6) == "keep"
    assert silence.look("suspended", 21, 74.0) == "keep"
    assert silence.look("suspended", 21, 74.7) == "end"


def test_what_never_connects_or_has_closed_is_ended() -> None:
    silence = Silence(SilencePolicy(connect=15), now=0.0)
    assert silence.look("connecting", 0, 15.1) == "end"
    assert Silence(SilencePolicy(), 0.0).look("closed", 5, 1.0) == "end"


def test_the_certificate_is_good_for_the_addresses_and_kept(tmp_path: Path) -> None:
    files = local_certificate(["192.0.2.5"], folder=tmp_path, now=NOW)
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"127.0.0.1", "::1", "192.0.2.5"} <= {
        str(a) for a in names.get_values_for_type(x509.IPAddress)
    }
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert certificate.not_valid_after_utc - NOW <= datetime.timedelta(days=397)
    assert os.stat(files.key).st_mode & 0o077 == 0
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)

    first = files.certificate.read_bytes()
    local_certificate(["192.0.2.5"], folder=tmp_path, now=NOW)
    assert files.certificate.read_bytes() == first
    local_certificate(["192.0.2.6"], folder=tmp_path, now=NOW)
    second = files.certificate.read_bytes()
    assert second != first
    local_certificate(["192.0.2.6"], folder=tmp_path, now=NOW + datetime.timedelta(days=380))
    assert files.certificate.read_bytes() != second
    files.key.write_text("damaged")
    third = files.certificate.read_bytes()
    local_certificate(["192.0.2.6"], folder=tmp_path, now=NOW + datetime.timedelta(days=380))
    assert files.certificate.read_bytes() != third


SERVE = """
import sys
from tests.server.fake_engine import FakeEngine
from visavis.server.config import ServerConfig
from visavis.server.run import run_server
sys.exit(run_server(ServerConfig(port=0, https=sys.argv[1] == "https"), FakeEngine))
"""


@pytest.mark.parametrize(("scheme", "ending"), [("http", signal.SIGTERM), ("https", signal.SIGINT)])
def test_one_line_says_what_to_open_and_a_signal_ends_in_order(
    tmp_path: Path, scheme: str, ending: signal.Signals
) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, scheme],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=root,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"Open {scheme}://127.0.0.1:"), process.stderr
        trust = None
        if scheme == "https":
            trust = ssl.create_default_context(
                cafile=str(tmp_path / "visavis" / "tls" / "certificate.pem")
            )
        with urllib.request.urlopen(f"{line.split()[1]}readyz", context=trust) as response:
            assert response.status == 200
        with urllib.request.urlopen(f"{line.split()[1]}metrics", context=trust) as response:
            metrics = response.read().decode()
        # The machine was divided: the fake engine carries four, whatever else there is.
        assert 'visavis_capacity_alone_sessions{part="engine"} 4.0' in metrics
        assert metrics.count('visavis_capacity_limit{part="') == 4
        started = time.monotonic()
        process.send_signal(ending)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0
        assert out == "" and err == ""
        assert time.monotonic() - started < 5
    finally:
        process.kill()
        process.wait()
