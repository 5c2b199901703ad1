"""`style_avatar`'s recognizer and its motion as sound comes in, against the whole sound at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from visavis.models.systems.style_avatar import live, motion
from visavis.models.systems.style_avatar.deepspeech import (
    CELL,
    DeepSpeech,
    Widths,
    context,
    state_dict,
)

F32 = NDArray[np.float32]
WIDTHS = Widths(11, 12, 13, 14, 15)
ROWS = 90  # of 20 ms


def tensors(seed: int = 0) -> dict[str, F32]:
    """A checkpoint of `WIDTHS`, as TensorFlow names and lays it out."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> F32:
        return np.asarray(rng.normal(0.0, shape[0] ** -0.5, shape), np.float32)

    sizes = {1: (494, 11), 2: (11, 12), 3: (12, 13), 5: (14, 15), 6: (15, 29)}
    made = {f"layer_{n}/weights": drawn(*size) for n, size in sizes.items()}
    made |= {f"layer_{n}/bias": drawn(size[1]) for n, size in sizes.items()}
    return made | {f"{CELL}/kernel": drawn(13 + 14, 4 * 14), f"{CELL}/bias": drawn(4 * 14)}


@pytest.fixture(scope="module")
def recognizer() -> DeepSpeech:
    widths, state = state_dict(tensors())
    assert widths == WIDTHS
    network = DeepSpeech(widths)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def mover() -> motion.Motion:
    torch.manual_seed(3)
    network = motion.Motion(motion.Widths(6, 2, (8, 12, 16), 8))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def sound() -> F32:
    """Rows f32[ROWS, 27] that a program has of a whole sound."""
    rows = np.random.default_rng(1).normal(0.0, 2.0, (ROWS, 27)).cumsum(0)
    return np.asarray(rows, np.float32)


def test_the_recognizer_is_what_its_layers_say(recognizer: DeepSpeech, sound: F32) -> None:
    named = tensors()
    x = torch.from_numpy(context(sound[:, :26]))
    for n in (1, 2, 3):
        x = (x @ torch.from_numpy(named[f"layer_{n}/weights"])) + torch.from_numpy(
            named[f"layer_{n}/bias"]
        )
        x = x.clamp(0.0, 20.0)
    # torch has input, forget, candidate, output; the file input, candidate, forget, output.
    kernel, bias = named[f"{CELL}/kernel"], named[f"{CELL}/bias"]
    order = np.concatenate([np.arange(14) + 14 * gate for gate in (0, 2, 1, 3)])
    cell = torch.nn.LSTM(13, 14, batch_first=True)
    cell.load_state_dict(
        {
            "weight_ih_l0": torch.from_numpy(kernel[:13, order].T.copy()),
            "weight_hh_l0": torch.from_numpy(kernel[13:, order].T.copy()),
            "bias_ih_l0": torch.from_numpy(bias[order]),
            "bias_hh_l0": torch.zeros(56),
        }
    )
    x = cell(x[None])[0][0].detach()
    x = (x @ torch.from_numpy(named["layer_5/weights"])) + torch.from_numpy(named["layer_5/bias"])
    x = x.clamp(0.0, 20.0) @ torch.from_numpy(named["layer_6/weights"])
    wanted = torch.softmax(x + torch.from_numpy(named["layer_6/bias"]), -1)
    found = recognizer(torch.from_numpy(context(sound[:, :26]))[None])[0]
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(found.sum(-1), torch.ones(ROWS))


def test_a_window_is_nine_rows_on_either_side() -> None:
    rows = np.arange(26 * 30, dtype=np.float32).reshape(30, 26) + 1.0
    windows = context(rows)
    np.testing.assert_array_equal(windows[12], rows[3:22].ravel())
    assert not windows[0, : 9 * 26].any() and windows[0, 9 * 26] == 1.0
    assert not windows[29, 10 * 26 :].any()


def streamed(network: live.LiveMotion, sound: F32, style: F32, lookahead_ms: int) -> F32:
    """Coefficients f32[K, 64] of a session: rows as the engine hands them on."""
    # The first row's window begins before the sound.
    rows = np.concatenate((np.full((1, 27), 5.0, np.float32), sound))
    heard = lookahead_ms // 20
    rows = np.concatenate((np.zeros((-heard % 2, 27), np.float32), rows))
    state = [torch.zeros(1, *shape) for shape in network.state_shapes().values()]
    window = np.zeros((live.WINDOW, 27), np.float32)
    told = []
    for start in range(0, len(rows) - 1, 2):
        window = np.concatenate((window, rows[start : start + 2]))[-live.WINDOW :]
        out, *state = network(torch.from_numpy(window)[None], torch.from_numpy(style)[None], *state)
        told.append(out[0].numpy())
    return np.stack(told)[-(-heard // 2) - 1 :]


@pytest.mark.parametrize("lookahead_ms", [240, 300, 380, 400, 680])
def test_a_stream_says_what_the_whole_sound_says(
    recognizer: DeepSpeech, mover: motion.Motion, sound: F32, lookahead_ms: int
) -> None:
    style = np.random.default_rng(2).normal(size=135).astype(np.float32)
    place = live.place_of(lookahead_ms)
    found = streamed(live.LiveMotion(recognizer, mover, place), sound, style, lookahead_ms)
    letters = recognizer(torch.from_numpy(context(sound[:, :26]))[None])[0].numpy()
    rows = np.concatenate((letters, sound[:, 26:]), 1)
    assert 25 < len(found) < ROWS // 2
    for k, told in enumerate(found):
        start = k - place.frame
        # What comes later than the look-ahead is not there.
        last = 2 * (start + 32) + 8 - place.repeated
        assert 40 * k + lookahead_ms == 20 * last + 200
        if last > ROWS - 9:
            break  # the whole sound's last rows know that it ends
        heard = torch.from_numpy(motion.heard(rows[:last], start))[None]
        wanted = mover(heard[:, :29], heard[:, 29:], torch.from_numpy(style)[None])
        np.testing.assert_allclose(told, wanted[0, :, place.frame].numpy(), atol=2e-5)
    assert k > 20


def test_what_is_heard_and_the_style_matter(
    recognizer: DeepSpeech, mover: motion.Motion, sound: F32
) -> None:
    network = live.LiveMotion(recognizer, mover, live.place_of(400))
    codes = np.random.default_rng(4).normal(size=(2, 135)).astype(np.float32)
    first = streamed(network, sound, codes[0], 400)
    assert first.std(0).mean() > 1e-3
    assert np.abs(first - streamed(network, sound, codes[1], 400)).max() > 1e-3
    louder = sound.copy()
    louder[:, 26] *= 3.0
    assert np.abs(first - streamed(network, louder, codes[0], 400)).max() > 1e-3


def test_look_aheads_that_there_are() -> None:
    assert live.place_of(400) == live.Place(31, 0)
    assert live.place_of(240) == live.Place(31, 8)
    assert live.place_of(1640) == live.Place(0, 0)
    for lookahead_ms in (220, 250, 420, 1680):
        with pytest.raises(ValueError, match="must be 240 to 400 ms by 20, or to 1640 by 40"):
            live.place_of(lookahead_ms)
