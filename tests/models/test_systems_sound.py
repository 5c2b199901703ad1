"""What the published systems hear: cepstra, windows, and their recurrent state."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.models.systems import mfcc
from visavis.models.systems.davs import sound
from visavis.models.systems.headpose import motion

STEP, HEARD = 640, 4720  # samples of a frame, and of what it hears


def noise(samples: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples) * 0.21) + 0.3 * np.sin(np.arange(samples) * 0.05)
    return 0.2 * tone + 0.05 * rng.standard_normal(samples)


def triangles(corners: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangles between corners, by interpolation: another way than the product's."""
    filters = []
    for k in range(len(corners) - 2):
        filters.append(np.interp(at, corners[k : k + 3], [0.0, 1.0, 0.0], left=0.0, right=0.0))
    return np.stack(filters)


def test_a_row_is_what_the_formula_says() -> None:
    x = noise(720)
    emphasised = np.append(x[0], x[1:] - 0.97 * x[:-1])
    power = np.abs(scipy.fft.fft(emphasised[160:560], 512)[:257]) ** 2 / 512
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    corners = np.floor(513 * (700 * (10 ** (mel / 2595) - 1)) / 16000)
    filters = triangles(corners, np.arange(257.0))
    cepstra = scipy.fft.dct(np.log(filters @ power), norm="ortho")[:13]
    wanted = cepstra * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    found = mfcc.mfcc(x)
    assert found.shape == (3, 13)
    np.testing.assert_allclose(found[1, 1:], wanted[1:], atol=1e-8)
    assert found[1, 0] == pytest.approx(np.log(power.sum()))


def test_a_row_of_davs_is_what_its_formula_says() -> None:
    x = noise(900)
    emphasised = 32768 * np.append(x[0], x[1:] - 0.97 * x[:-1])
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)
    magnitude = np.abs(scipy.fft.fft(emphasised[160:560] * window, 512)[:257])
    mel = np.linspace(1127 * np.log(1 + 300 / 700), 1127 * np.log(1 + 3700 / 700), 15)
    filters = triangles(700 * (np.exp(mel / 1127) - 1), np.arange(257.0) * 16000 / 512)
    cepstra = scipy.fft.dct(np.log(filters @ magnitude), norm="ortho")
    wanted = cepstra * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    found = sound.mfcc(x)
    assert found.shape == (4, 13)
    np.testing.assert_allclose(found[1, 1:], wanted[1:], atol=1e-8)


@given(st.integers(1, 60_000))
@settings(max_examples=20, deadline=None)
def test_a_clip_has_as_many_frames_as_its_rows_allow(samples: int) -> None:
    found = mfcc.mfcc(noise(samples))
    rows = len(found)
    assert (rows - 1) * 160 < max(samples, 1) and (rows - 1) * 160 + 400 >= min(samples, 400)
    seen = mfcc.windows(found)
    assert len(seen) == max(0, rows // 4 - 6)
    for k in {0, len(seen) - 1} if len(seen) else set():
        np.testing.assert_array_equal(seen[k], found[4 * k : 4 * k + 28, 1:].astype(np.float32))


@given(st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_stream_hears_what_the_clip_hears(frame: int, seed: int) -> None:
    padded = np.pad(noise(50 * STEP, seed), mfcc.PADDING)
    whole = mfcc.windows(mfcc.mfcc(padded))
    part = padded[STEP * frame : STEP * frame + HEARD]
    streamed = mfcc.windows(mfcc.mfcc(part, float(padded[STEP * frame - 1])))
    np.testing.assert_allclose(streamed[0], whole[frame], atol=1e-4)


def test_a_stream_that_forgets_a_sample_hears_something_else() -> None:
    x = noise(2 * HEARD) + 0.5
    whole, forgetful = mfcc.mfcc(x)[4:32], mfcc.mfcc(x[STEP : STEP + HEARD])
    assert np.abs(forgetful[0, 1:] - whole[0, 1:]).max() > 1.0
    np.testing.assert_allclose(forgetful[3:], whole[3:], atol=1e-6)


def test_loudness_moves_the_energy_alone_and_silence_is_finite() -> None:
    x = noise(4000)
    loud, quiet = mfcc.mfcc(x), mfcc.mfcc(x / 32768)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-8)
    assert (loud[:, 0] - quiet[:, 0] > 20).all()
    np.testing.assert_allclose(mfcc.mfcc(np.zeros(4000))[:, 1:], 0.0, atol=1e-10)
    assert np.isfinite(sound.mfcc(np.zeros(4000))).all()
    # The floor is below whatever 16 bits can hold.
    least = np.zeros(4000)
    least[2000] = 1 / 32768
    np.testing.assert_array_equal(sound.mfcc(least)[12:13], sound.mfcc(least, floor=1e-12)[12:13])
    for bad in (np.zeros(0), np.zeros((2, 400))):
        with pytest.raises(ValueError, match="Samples"):
            mfcc.mfcc(bad)
        with pytest.raises(ValueError, match="Samples"):
            sound.mfcc(bad)


@given(st.integers(400, 40_000))
@settings(max_examples=30, deadline=None)
def test_every_frame_of_davs_has_a_whole_window(samples: int) -> None:
    rows = np.random.default_rng(samples).normal(size=(1 + (samples - 400) // 160, 13))
    frames = sound.frames(samples)
    assert len(frames) == max(0, samples // 640 - 5)
    for frame in frames:
        seen = sound.window(rows, frame)
        assert seen.shape == (20, 12)
        np.testing.assert_array_equal(seen[8], rows[4 * frame, 1:].astype(np.float32))
    for beyond in (1, len(rows) // 4):
        with pytest.raises(ValueError, match="no whole window"):
            sound.window(rows, beyond)


@pytest.fixture(scope="module")
def network() -> motion.Motion:
    torch.manual_seed(3)
    with torch.device("meta"):
        made = motion.Motion()
    made = made.to_empty(device="cpu").eval().requires_grad_(False)
    for name, value in made.state_dict().items():
        if "running_var" in name or value.ndim == 0:
            value.fill_(1)
        else:
            value.normal_(0.0, 0.1 if value.ndim == 1 else value[0].numel() ** -0.5)
    return made


@given(st.lists(st.integers(1, 4), min_size=2, max_size=3))
@settings(max_examples=3, deadline=None)
def test_a_carried_state_is_the_whole_utterance(network: motion.Motion, parts: list[int]) -> None:
    windows = torch.from_numpy(mfcc.clip_windows(noise(640 * (sum(parts) + 1))))[None]
    whole, last = network(windows, motion.start())
    state, rows = motion.start(), []
    for some in torch.split(windows[:, : sum(parts)], parts, 1):
        row, state = network(some, state)
        rows.append(row)
    joined = torch.cat(rows, 1)
    torch.testing.assert_close(joined, whole[:, : sum(parts)], atol=1e-5, rtol=1e-4)
    again, _ = network(windows[:, sum(parts) - 1 : sum(parts)], motion.start())
    assert (again[:, -1] - joined[:, -1]).abs().max() > 1e-4
    torch.testing.assert_close(
        motion.true_depth(whole) - whole, torch.eye(70)[69].expand_as(whole) * 0.5
    )
    assert last[0].shape == (3, 1, 256)
