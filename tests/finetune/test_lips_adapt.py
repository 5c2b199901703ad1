"""Adapting the lips to a person, on faces that are a known linear map of what the network hears."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from visavis.engines.audio import LogMel
from visavis.finetune.lips.adapt import Take, adapt
from visavis.finetune.lips.amplitude import MOST, curve_of, gain_of
from visavis.finetune.lips.fit import Measured
from visavis.finetune.lips.fit_clip import fit_to_clip
from visavis.finetune.lips.linear import Correction, Heard, fold, listen, of_head, said
from visavis.finetune.lips.listen import hear
from visavis.finetune.lips.posterior import blocked, choose, scale_and_bias, solve
from visavis.finetune.lips.trial import CURVE, MAP, NETWORK, measure, report
from visavis.finetune.lips.yardstick.clips import Piece
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.models.motion import LOOKAHEADS, MOVES, Motion, MotionConfig, MotionStep

RATE = 16000


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def motion() -> Motion:
    """Untrained, small, with a ridge of its own, and sure that everything is speech."""
    torch.manual_seed(0)
    out = Motion(MotionConfig(stem=16, width=16, hidden=16))
    with torch.no_grad():
        out.heads.weight *= 0.2
        out.ridge.weight *= 0.05
        out.ridge_share.copy_(torch.tensor([0.6, 0.5, 0.0, 1.0, 0.2, 0.2]))
        bias = out.heads.bias.view(len(LOOKAHEADS), 2, 9)
        bias[..., :MOVES] = 0.1
        bias[..., 6:8], bias[..., 8] = -8.0, 8.0
    return out.eval()


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """Bands of noise that come and go, like syllables."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * 25)
    at = np.arange(frames * 640) / RATE
    out = np.zeros(len(at))
    for low in (200, 400, 700, 1100, 1800, 2800):
        loud = np.abs(rng.normal(size=frames // 3 + 2)).repeat(3 * 640)[: len(at)]
        out += loud * np.sin(2 * np.pi * low * at + 3 * np.sin(2 * np.pi * 5 * at))
    return (0.02 * out).astype(np.float32)


def face(motion: Motion, sound: np.ndarray, noise: float = 0.004) -> Take:
    """A face whose opening the network half knows; the other half is in the rows, linearly."""
    heard = listen(motion, sound)
    first, (hidden, rows) = of_head(motion, [heard], 120)
    rng = np.random.default_rng(7)
    way = rng.normal(size=rows.shape[1]) * (np.arange(rows.shape[1]) % 66 < 12)
    other = (rows - rows.mean(0)) @ way
    known = first[:, 0] - first[:, 0].mean()
    opening = 0.12 + 0.03 * other / other.std() + 0.03 * known / known.std()
    moves = np.full((heard.frames, MOVES), np.nan)
    moves[:, 0] = opening + rng.normal(0.0, noise, len(opening))
    moves[:, 2] = rng.normal(0.0, 0.02, len(opening))  # a width that has nothing to do with sound
    return Take(sound, moves)


@pytest.fixture(scope="module")
def long(motion: Motion) -> list[Take]:
    return [face(motion, babble(11.0, seed)) for seed in (1, 2)]


def r_of(motion: Motion, take: Take, ms: int = 120) -> float:
    first, _ = of_head(motion, [listen(motion, take.sound)], ms)
    return float(np.corrcoef(first[:, 0], take.moves[:, 0])[0, 1])


def test_what_is_said_again_from_windows_is_what_was_heard(motion: Motion) -> None:
    sound = babble(3.0)
    assert np.allclose(said(motion, listen(motion, sound)), hear(motion, sound), atol=1e-5)


def test_a_correction_folds_exactly_into_the_graph(motion: Motion) -> None:
    sound = babble(3.0)
    heard = listen(motion, sound)
    rng = np.random.default_rng(0)
    hidden, rows = heard.hidden.shape[1], heard.rows.shape[1]
    corrections = {}
    for ms in LOOKAHEADS:
        c = Correction(
            np.ones(MOVES), np.zeros(MOVES), np.zeros((hidden, MOVES)), np.zeros((rows, MOVES))
        )
        for move in (0, 2, 3):  # shares of the ridge: some, none, all
            c.scale[move], c.bias[move] = rng.uniform(0.5, 2.0), rng.normal()
            c.hidden[:, move] = rng.normal(0.0, 0.02, hidden)
            c.rows[:, move] = rng.normal(0.0, 0.02, rows)
        corrections[ms] = c
    folded = fold(motion, corrections)
    before, after = hear(motion, sound), hear(folded, sound)
    for head, c in enumerate(corrections.values()):
        add = heard.hidden @ c.hidden + heard.rows @ c.rows + c.bias
        want = before[:, head, :, :MOVES] * c.scale + add[:, None]
        assert np.allclose(after[:, head, :, :MOVES], want, atol=2e-5)
    # How sure it is of contacts and speech, and what was not corrected, stay to the last bit.
    assert (after[..., MOVES:] == before[..., MOVES:]).all()
    assert (after[..., [1, 4, 5]] == before[..., [1, 4, 5]]).all()
    assert np.abs(after[..., 0] - before[..., 0]).max() > 0.1


def test_a_folded_network_runs_tick_by_tick_in_the_same_graph(
    motion: Motion, long: list[Take]
) -> None:
    own = adapt(motion, long).motion
    assert [p.shape for p in own.parameters()] == [p.shape for p in motion.parameters()]
    # `MotionStep` is the form that is exported.
    sound = babble(1.0)
    want = hear(own, sound)
    mel = LogMel()
    rows = mel.step(mel.initial_state(), sound)
    step, state = MotionStep(own), own.initial_state(1)
    with torch.no_grad():
        for tick in range(len(rows) // 4):
            here = torch.from_numpy(rows[None, 4 * tick : 4 * tick + 4])
            tract, *new = step(here, *state)
            state = tuple(new)
            assert np.allclose(tract[0].numpy(), want[tick], atol=2e-5)


def test_a_known_map_is_found_and_holds_where_it_was_not_seen(
    motion: Motion, long: list[Take]
) -> None:
    adapted = adapt(motion, long)
    assert adapted.method == "map" and adapted.seconds > 20
    new = face(motion, babble(8.0, 9))
    for ms in (80, 120, 160):
        assert r_of(adapted.motion, new, ms) > r_of(motion, new, ms) + 0.1
    assert r_of(adapted.motion, new) > 0.9
    table = adapted.moves["aperture"]
    assert table["used"] and table["r_after"] > 0.9
    # Nothing says the width, so it stays the network's own.
    assert not adapted.moves["width"]["used"] and adapted.params["gain"][2] == 1.0
    sound = babble(2.0)
    assert (hear(adapted.motion, sound)[..., 2] == hear(motion, sound)[..., 2]).all()


def test_little_speech_gives_scale_and_bias_alone(motion: Motion, long: list[Take]) -> None:
    take = long[0]
    adapted = adapt(motion, [take])
    assert adapted.method == "scale and bias" and 4 < adapted.seconds < 20
    # A straight line: it correlates with the network's own opening to the end.
    heard = [listen(motion, take.sound)]
    before, _ = of_head(motion, heard, 120)
    after, _ = of_head(adapted.motion, heard, 120)
    assert np.corrcoef(before[:, 0], after[:, 0])[0, 1] > 0.9999
    assert abs(after[:, 0].mean() - take.moves[:, 0].mean()) < 0.01


def test_frames_that_may_not_be_learnt_from_are_not(motion: Motion, long: list[Take]) -> None:
    use = np.arange(550) < 450
    spoilt = [long[0], replace(long[1], moves=long[1].moves.copy())]
    spoilt[1].moves[175:, [0, 2]] = 5.0
    a, b = (adapt(motion, takes, use=use, method="map") for takes in (long, spoilt))
    assert a.moves == b.moves and a.params == b.params
    assert all(
        (p == q).all() for p, q in zip(a.motion.parameters(), b.motion.parameters(), strict=True)
    )


def test_more_penalty_stays_nearer_to_the_first_guess() -> None:
    rng = np.random.default_rng(0)
    hidden, rows = rng.normal(size=(60, 200)), rng.normal(size=(60, 90))
    residual = rows[:, 0] + rng.normal(0.0, 0.3, 60)
    sizes = []
    for penalty in (1e-3, 0.1, 10.0):
        first, second, bias = solve((hidden, rows), residual, 0.3, penalty)
        said_now = hidden @ first + rows @ second + bias
        assert abs(said_now.mean()) < 1e-9  # inputs are centred: the bias undoes their means
        sizes.append(float(said_now.std()))
    assert sizes[0] > sizes[1] > sizes[2] and sizes[2] < 0.1


def test_shuffled_targets_give_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, 60))
    first = rng.normal(size=(400, 1))
    y = first + rows[:, :1]
    grams = (np.zeros((400, 400)), rows @ rows.T)
    use = np.ones(400, np.bool_)
    true = choose(grams, first, y, blocked([400]), use)
    assert np.corrcoef(true.guess[:, 0], y[:, 0])[0, 1] > 0.9
    assert np.isfinite(true.penalty).all() and true.mix[0] < 0.5
    mixed = rng.permutation(y)
    false = choose(grams, first, mixed, blocked([400]), use)
    gained = np.square(false.guess - mixed).mean() / np.square(false.plain - mixed).mean()
    assert gained > 0.97
    assert np.corrcoef(false.guess[:, 0], mixed[:, 0])[0, 1] < 0.1


def test_no_frame_is_learnt_from_beside_where_it_is_measured() -> None:
    for fold_ in blocked([300, 200]):
        near = np.convolve(fold_.test, np.ones(21), "same") > 0.5
        assert fold_.test.any() and not (fold_.train & near).any()
    # Whole pieces are left out whole.
    pieces = np.repeat(np.arange(7), 50)
    for fold_ in blocked([50] * 7):
        assert not set(pieces[fold_.test]) & set(pieces[fold_.train])
    assert sum(f.test for f in blocked([300, 200])).tolist() == [1] * 500


def test_scale_and_bias_undo_themselves() -> None:
    first = np.random.default_rng(0).normal(size=(200, 2))
    a, b = scale_and_bias(first, first * [0.5, -1.0] + [3.0, 1.0])
    assert np.allclose(a, [0.5, 0.0]) and abs(b[0] - 3.0) < 1e-9


def test_amplitude_meets_the_quantiles_and_keeps_zero() -> None:
    rng = np.random.default_rng(0)
    real = rng.gamma(2.0, 0.05, 4000)
    heard = 0.75 * real
    assert abs(gain_of(heard, real) - 1 / 0.75) < 1e-6
    assert gain_of(0.2 * real, real) == MOST
    curve = np.array(curve_of(0.05 + 0.6 * real, real))
    assert (curve[0] == 0.0).all() and (np.diff(curve, axis=0) >= 0.0).all()
    shown = np.interp(0.05 + 0.6 * real, *curve.T)
    assert np.allclose(np.quantile(shown, (0.05, 0.5, 0.95)), np.quantile(real, (0.05, 0.5, 0.95)),
                       atol=2e-3)  # fmt: skip
    steep = np.array(curve_of(0.1 * real, real))
    assert (steep[1:, 1] <= MOST * steep[1:, 0] + 1e-3).all()


def test_a_still_face_and_silence_are_refused(motion: Motion, long: list[Take]) -> None:
    still = replace(long[0], moves=np.full_like(long[0].moves, 0.1))
    with pytest.raises(ValueError, match="do not move"):
        adapt(motion, [still])
    with pytest.raises(ValueError, match="four seconds of speech"):
        adapt(motion, [Take(long[0].sound[: 640 * 60], long[0].moves[:60])])


def test_a_trial_says_what_is_gained_on_what_was_left_out(motion: Motion, long: list[Take]) -> None:
    pieces = []
    for take in long:
        width = 0.6 + take.moves[:, 2]
        truth = Mouth(take.moves[:, 0], width, np.zeros(len(width)))
        pieces.append(Piece("made", "made", "made", take.sound, truth))
    result = measure(motion, pieces, draws=40)
    before, after = result.row(NETWORK).word, result.row(MAP).word
    assert after[0] > before[0] + 0.1 and np.quantile(after - before, 0.025) > 0.0
    assert result.row(CURVE).mouth.opening_off[0] < result.row(NETWORK).mouth.opening_off[0]
    assert "MAP, curve" in report(result) and '"method": "map"' in report(result, as_json=True)


def test_heard_frames_end_with_the_sound(motion: Motion) -> None:
    heard = listen(motion, babble(2.0))
    assert isinstance(heard, Heard) and heard.frames == 50
    for ms in LOOKAHEADS:
        assert len(heard.hidden[heard.at(ms)]) == 50


def test_a_clip_gives_a_map_and_a_network_of_the_person(motion: Motion) -> None:
    """The face opens with the sound, rests closed, and pauses with parted lips."""
    sounds = [babble(12.0, 1), np.zeros(RATE, np.float32), babble(12.0, 2)]
    takes = [face(motion, sounds[0]), face(motion, sounds[2])]
    opening = np.concatenate([takes[0].moves[:, 0], np.full(25, 0.03), takes[1].moves[:, 0]])
    opening[::25] = 0.002  # lips that shut
    opening[300:312] = 0.0
    frames = len(opening)
    rng = np.random.default_rng(0)
    width = rng.normal(0.6, 0.01, frames)
    jaw = 0.4 * opening + 0.3
    way = rng.normal(size=(3, 5))
    shape = np.stack((opening, jaw - 0.3, width - 0.6), 1) @ way
    measured = Measured(
        coefficients=(shape + 1.0).astype(np.float32),
        rest=np.full(5, 1.0, np.float32),
        size=np.ones(5, np.float32),
        aperture=opening.astype(np.float32),
        jaw=jaw.astype(np.float32),
        width=width.astype(np.float32),
    )
    heard = often_sure_of_closures(motion, sounds[0])
    fitted = fit_to_clip(heard, measured, np.concatenate(sounds), [12.0, 13.0])
    own = fitted.adapted
    assert own.method == "map" and own.moves["aperture"]["used"]
    assert own.moves["aperture"]["r_after"] > own.moves["aperture"]["r_before"] + 0.1
    assert own.moves["jaw"]["used"] and "protrusion" not in own.moves
    # What the network wants of the face is what the face did.
    first, _ = of_head(own.motion, [listen(own.motion, sounds[2])], 120)
    shown = first[:, :3] @ fitted.person.map[:, :3].T
    real = (measured.coefficients - measured.rest)[325:]
    assert np.corrcoef(shown[:, 0], real[:, 0])[0, 1] > 0.6
    # A cut at a place where there is none changes what is heard.
    moved = fit_to_clip(heard, measured, np.concatenate(sounds), [6.0, 12.0, 13.0])
    assert moved.adapted.moves != own.moves


def often_sure_of_closures(motion: Motion, sound: np.ndarray) -> Motion:
    """Hears a P, B or M in two frames of five."""
    out = Motion(motion.config)
    out.load_state_dict(motion.state_dict())
    hidden = torch.from_numpy(listen(motion, sound).hidden)
    heads = len(LOOKAHEADS)
    with torch.no_grad():
        out.heads.weight.view(heads, 2, 9, -1)[:, :, 6] *= 100.0
        out.heads.bias.view(heads, 2, 9)[..., 6] = 0.0
        logits = out.heads(hidden).view(-1, heads, 2, 9)[..., 6]
        out.heads.bias.view(heads, 2, 9)[..., 6] = -logits.quantile(0.6, 0)
    return out.eval()
