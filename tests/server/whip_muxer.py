"""libavformat's own WHIP client as a program: ``python -m tests.server.whip_muxer URL FOLDER S``.

A process of its own, because libavformat's handshake holds the interpreter.
"""

from __future__ import annotations

import datetime
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server.peers import tone_bursts

RATE = 48_000
PACKET = 960


def certificate(folder: Path) -> dict[str, str]:
    """Files with a P-256 key and certificate: with its own, this client's DTLS fails."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "muxer")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


def publish(url: str, folder: Path, seconds: float) -> None:
    """Say tone bursts, and show a picture that nobody sees."""
    pcm = np.repeat(tone_bursts(seconds), 2)  # stereo, interleaved
    grey = np.full((96, 64), 128, np.uint8)
    with av.open(url, "w", format="whip", options=certificate(folder)) as out:
        voice = out.add_stream("libopus", rate=RATE, layout="stereo")
        face = out.add_stream("libx264", rate=25)
        face.width, face.height, face.pix_fmt = 64, 64, "yuv420p"
        face.codec_context.profile = "Baseline"
        face.options = {"preset": "ultrafast", "tune": "zerolatency"}
        out.start_encoding()  # the offer, the answer, ICE and DTLS
        begun = time.monotonic()
        for step in range(int(seconds * 50)):
            part = pcm[2 * PACKET * step : 2 * PACKET * (step + 1)]
            sound = av.AudioFrame.from_ndarray(part[None], format="s16", layout="stereo")
            sound.sample_rate, sound.pts = RATE, PACKET * step
            out.mux(voice.encode(sound))
            if step % 2 == 0:
                picture = av.VideoFrame.from_ndarray(grey, format="yuv420p")
                picture.pts, picture.time_base = step // 2, Fraction(1, 25)
                out.mux(face.encode(picture))
            time.sleep(max(0.0, begun + step / 50 - time.monotonic()))


if __name__ == "__main__":
    publish(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
