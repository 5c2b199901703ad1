"""Plain samples: any rate becomes 48 kHz, continuously over packets of any length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.server.ws.sound import HALF_TAPS, Pcm16Decoder, Pcm16Encoder


def tone(rate: int, hertz: float, seconds: float = 0.2) -> bytes:
    t = np.arange(int(rate * seconds)) / rate
    return (16_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize("hertz", [100.0, 1000.0, 6000.0])
def test_a_tone_stays_the_same_tone(rate: int, hertz: float) -> None:
    out = Pcm16Decoder(rate).decode(tone(rate, hertz))
    assert len(out) == 9600
    delay = 0 if rate == 48_000 else HALF_TAPS * 48_000 // rate
    t = (np.arange(len(out)) - delay) / 48_000
    wanted = 16_000 / 32_768 * np.sin(2 * np.pi * hertz * t)
    inside = slice(400, -400)
    assert np.abs(out[inside] - wanted[inside]).max() < 0.01


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_what_lies_above_the_input_is_not_made_up(rate: int) -> None:
    out = Pcm16Decoder(rate).decode(tone(rate, rate * 0.4, 1.0))[1000:-1000]
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    at = np.fft.rfftfreq(len(out), 1 / 48_000)
    image = spectrum[(at > rate * 0.55) & (at < rate * 0.65)].max()
    assert image < 0.01 * spectrum.max()


@settings(deadline=None)
@given(
    rate=st.sampled_from([16_000, 24_000, 48_000]),
    cuts=st.lists(st.integers(0, 1600), max_size=6),
)
def test_any_packets_give_the_same_sound(rate: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    samples = rng.integers(-20_000, 20_000, 1600, dtype=np.int16)
    whole = Pcm16Decoder(rate).decode(samples.astype("<i2").tobytes())
    decoder = Pcm16Decoder(rate)
    parts = np.split(samples, sorted(cuts))
    pieces = [decoder.decode(part.astype("<i2").tobytes()) for part in parts]
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-6)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\x02\x03"])
def test_half_a_sample_is_damage(payload: bytes) -> None:
    assert len(Pcm16Decoder(48_000).decode(payload)) == 0


def test_an_odd_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="44100"):
        Pcm16Decoder(44_100)


def test_samples_go_out_as_they_are_and_are_never_wrapped() -> None:
    pcm = np.array([0.0, 0.5, -0.5, 2.0, -2.0], np.float32)
    out = np.frombuffer(Pcm16Encoder().encode(pcm), "<i2")
    assert out.tolist() == [0, 16_383, -16_383, 32_767, -32_767]
