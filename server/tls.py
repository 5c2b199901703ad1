"""A certificate of our own, so that a phone in the same network may use its microphone.

Browsers give a page the microphone only on localhost or over https. The certificate is self-signed:
the browser asks once whether to go on.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Certificate", "cache_folder", "lan_addresses", "local_certificate"]

VALID_DAYS = 397  # the most that browsers accept
RENEW_DAYS = 30

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where certificate and key lie, in PEM."""

    certificate: Path
    key: Path


def cache_folder() -> Path:
    """The user's cache folder for visavis, by the XDG rule."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "visavis"


def lan_addresses() -> tuple[str, ...]:
    """This machine's IPv4 addresses that others may reach, private networks first."""
    found = [
        ipaddress.ip_address(ip.ip)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if isinstance(ip.ip, str)
    ]
    usable = [a for a in found if not a.is_loopback and not a.is_link_local]
    return tuple(str(a) for a in sorted(usable, key=lambda a: (not a.is_private, int(a))))


def local_certificate(
    addresses: Sequence[str],
    *,
    folder: Path | None = None,
    now: datetime.datetime | None = None,
) -> Certificate:
    """The certificate for localhost, this machine's name and ``addresses``; made where needed.

    It is made anew when it lacks one of the addresses or is about to expire.

    Args:
        addresses: numeric addresses that it must be good for.
        folder: where it is kept; the user's cache folder by default.
        now: the time, with its zone.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder = folder or cache_folder() / "tls"
    files = Certificate(folder / "certificate.pem", folder / "key.pem")
    wanted = [ipaddress.ip_address(a) for a in ("127.0.0.1", "::1", *addresses)]
    if not _still_good(files, wanted, now):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(files, wanted, now)
    return files


def _still_good(files: Certificate, wanted: Sequence[IpAddress], now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return (
        certificate.public_key() == key.public_key()
        and certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)
        and set(wanted) <= set(names.get_values_for_type(x509.IPAddress))
    )


def _make(files: Certificate, wanted: Sequence[IpAddress], now: datetime.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "visavis")])
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    host = socket.gethostname()
    if host and host != "localhost" and host.isascii():
        names += [x509.DNSName(host), x509.DNSName(f"{host}.local")]
    names += [x509.IPAddress(address) for address in dict.fromkeys(wanted)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # Created closed to others, rather than closed after it was written.
    files.key.unlink(missing_ok=True)
    descriptor = os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(private)
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
