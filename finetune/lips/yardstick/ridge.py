"""Plain linear regression from sound to a mouth: the baseline that everything must beat.

Rows of the engine's own features from 240 ms before a frame to the end of its look-ahead, and from
them opening, width and protrusion, with a penalty that other recordings chose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.engines.audio import RATE, LogMel
from visavis.finetune.lips.yardstick.clips import Piece
from visavis.finetune.lips.yardstick.mouth import Mouth

__all__ = ["from_others", "from_own"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_BEFORE = 24  # rows
_STRIDE = 2  # rows, averaged
_PENALTIES = np.geomspace(0.01, 30.0, 8)  # of the mean power of a feature, times frames
_GUARD = 10  # frames beside a block that are neither trained on nor measured
_FOLDS = 6
_LEAST_S = 9.0


def _stack(piece: Piece, lookahead_ms: int) -> F64:
    mel = LogMel()
    after = lookahead_ms // 10
    sound = np.concatenate((piece.sound, np.zeros(RATE * lookahead_ms // 1000, np.float32)))
    rows = mel.step(mel.initial_state(), sound)
    rows = np.concatenate((np.repeat(rows[:1], _BEFORE, 0), rows)).astype(np.float64)
    span = (_BEFORE + after) // _STRIDE * _STRIDE
    stacked = []
    for k in range(piece.frames):
        end = _BEFORE + 4 * k + after
        stacked.append(rows[end - span : end].reshape(-1, _STRIDE, mel.size).mean(1).ravel())
    return np.asarray(stacked)


def _truth(piece: Piece) -> F64:
    m = piece.truth
    return np.stack((m.opening, m.width, m.protrusion), 1)


class _Fit:
    """A ridge for every penalty at once, on standardised features and targets."""

    def __init__(self, x: F64, y: F64) -> None:
        self._mean, self._size = x.mean(0), x.std(0) + 1e-6
        z = (x - self._mean) / self._size
        self._centre = y.mean(0)
        # The smaller of the two systems.
        self._dual = len(z) < z.shape[1]
        power = z @ z.T if self._dual else z.T @ z
        self._values, self._vectors = np.linalg.eigh(power)
        self._z, self._frames = z, len(z)
        right = y - self._centre if self._dual else z.T @ (y - self._centre)
        self._right = self._vectors.T @ right

    def predict(self, x: F64, penalty: float) -> F64:
        """Targets of features, for one penalty."""
        shrunk = self._right / (np.maximum(self._values, 0.0) + penalty * self._frames)[:, None]
        weights = self._vectors @ shrunk
        if self._dual:
            weights = self._z.T @ weights
        return np.asarray(((x - self._mean) / self._size) @ weights + self._centre)


def _r(a: F64, b: F64) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 and b.std() > 1e-9 else 0.0


def _normal(pieces: Sequence[Piece]) -> tuple[list[F64], F64, F64]:
    """Targets as deviations of their clip, and the mean deviation and mean of clips."""
    clips = sorted({p.clip for p in pieces})
    every = {c: np.concatenate([_truth(p) for p in pieces if p.clip == c]) for c in clips}
    mean = {c: t.mean(0) for c, t in every.items()}
    size = {c: t.std(0) + 1e-9 for c, t in every.items()}
    targets = [(_truth(p) - mean[p.clip]) / size[p.clip] for p in pieces]
    return (
        targets,
        np.mean([size[c] for c in clips], axis=0),
        np.mean([mean[c] for c in clips], axis=0),
    )


def _mouth(values: F64) -> Mouth:
    return Mouth(values[:, 0], values[:, 1], values[:, 2])


def from_others(
    pieces: Sequence[Piece], lookahead_ms: int
) -> tuple[list[Mouth | None], dict[str, float]]:
    """Predict each piece from recordings of other kinds.

    Returns:
        a mouth a piece, None where there is no other kind; and the penalty chosen for each kind.
    """
    stacked = [_stack(p, lookahead_ms) for p in pieces]
    kinds = sorted({p.kind for p in pieces})
    out: list[Mouth | None] = [None] * len(pieces)
    chosen: dict[str, float] = {}
    if len(kinds) < 2:
        return out, chosen
    for kind in kinds:
        train = [i for i, p in enumerate(pieces) if p.kind != kind]
        targets, size, mean = _normal([pieces[i] for i in train])
        chosen[kind] = _choose(
            [pieces[i].kind for i in train], [stacked[i] for i in train], targets
        )
        fit = _Fit(np.concatenate([stacked[i] for i in train]), np.concatenate(targets))
        for i, piece in enumerate(pieces):
            if piece.kind == kind:
                out[i] = _mouth(fit.predict(stacked[i], chosen[kind]) * size + mean)
    return out, chosen


def _choose(kinds: Sequence[str], x: Sequence[F64], y: Sequence[F64]) -> float:
    """The penalty that does best on kinds left out in turn, by r of opening."""
    if len(set(kinds)) < 2:
        return float(_PENALTIES[len(_PENALTIES) // 2])
    score = np.zeros(len(_PENALTIES))
    for left in sorted(set(kinds)):
        inside = [i for i, k in enumerate(kinds) if k != left]
        outside = [i for i, k in enumerate(kinds) if k == left]
        fit = _Fit(np.concatenate([x[i] for i in inside]), np.concatenate([y[i] for i in inside]))
        test = np.concatenate([x[i] for i in outside])
        want = np.concatenate([y[i] for i in outside])[:, 0]
        score += [_r(fit.predict(test, float(p))[:, 0], want) for p in _PENALTIES]
    return float(_PENALTIES[int(score.argmax())])


def from_own(
    pieces: Sequence[Piece], lookahead_ms: int, penalties: dict[str, float]
) -> list[Mouth | None]:
    """Predict each clip of nine seconds or more from the rest of itself.

    Whole pieces are left out where a clip has enough of them, else blocks of it, with a guard on
    both sides. The penalty is the one that other kinds of recordings chose.
    """
    out: list[Mouth | None] = [None] * len(pieces)
    for clip in sorted({p.clip for p in pieces}):
        own = [i for i, p in enumerate(pieces) if p.clip == clip]
        lengths = [pieces[i].frames for i in own]
        if sum(lengths) < _LEAST_S * 25 or pieces[own[0]].kind not in penalties:
            continue
        x = np.concatenate([_stack(pieces[i], lookahead_ms) for i in own])
        y = np.concatenate([_truth(pieces[i]) for i in own])
        piece_of = np.repeat(np.arange(len(own)), lengths)
        folds = piece_of % _FOLDS if len(own) >= _FOLDS else np.arange(len(y)) * _FOLDS // len(y)
        guess = np.empty_like(y)
        for fold in range(_FOLDS):
            test = folds == fold
            near = np.convolve(test, np.ones(2 * _GUARD + 1), "same") > 0
            if len(own) >= _FOLDS:
                near = test
            fit = _Fit(x[~near], y[~near])
            guess[test] = fit.predict(x[test], penalties[pieces[own[0]].kind])
        start = 0
        for i, frames in zip(own, lengths, strict=True):
            out[i] = _mouth(guess[start : start + frames])
            start += frames
    return out
