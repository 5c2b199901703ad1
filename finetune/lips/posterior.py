"""Linear regression towards what is already known: MAP with a Gaussian prior about a first guess.

    min |y - (a y0 + b) - D x|^2 + penalty n |D|^2

y0 is the first guess, a and b its own least-squares scale and bias, x the inputs. D = 0 is the
first guess again: little data, or a high penalty, stays near it. There are many more inputs than
frames, so everything is done in the dual, on Gram matrices float64[N, N]. There are two kinds of
inputs, each normed to a mean power of 1; `mix` is the share of the first kind. Penalty and mix are
chosen per output by blocked cross-validation (C. Bishop, "Pattern Recognition and Machine
Learning", 2006, 3.3 and 6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MIXES",
    "PENALTIES",
    "Choice",
    "Fold",
    "blocked",
    "choose",
    "correlation",
    "scale_and_bias",
    "solve",
]

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 1.0)
MIXES = (0.0, 0.2, 0.4)
_MOST_SCALE = 3.0
_TIE = 0.02  # of r: half a minute of speech cannot tell less, and a tie goes to the data


@dataclass(frozen=True, slots=True)
class Fold:
    """bool[N] each: frames to measure on, and frames to learn from meanwhile."""

    test: Bools
    train: Bools


@dataclass(frozen=True, slots=True)
class Choice:
    """What cross-validation chose, per output.

    Attributes:
        mix, penalty: float64[C]; the penalty is infinite where D = 0 is best.
        plain: float64[N, C], a y0 + b of frames left out; guess: with D. Not a number elsewhere.
        before, after: float64[C], r of y0 and of the guess within the blocks.
    """

    mix: F64
    penalty: F64
    plain: F64
    guess: F64
    before: F64
    after: F64


def blocked(lengths: Sequence[int], folds: int = 6, guard: int = 10) -> list[Fold]:
    """Leave out whole pieces where there are enough of them, else blocks with a guard beside.

    Args:
        lengths: frames of every piece, which are N together.
    """
    frames = int(sum(lengths))
    whole = len(lengths) >= folds
    piece = np.repeat(np.arange(len(lengths)), lengths)
    of = piece % folds if whole else np.arange(frames) * folds // max(frames, 1)
    out = []
    for k in range(folds):
        test = of == k
        near = test if whole else np.convolve(test, np.ones(2 * guard + 1), "same") > 0.5
        out.append(Fold(test, ~near))
    return out


def scale_and_bias(first: F64, y: F64) -> tuple[F64, F64]:
    """a and b of every output, float64[C] each, by least squares; a is 0 to 3.

    Args:
        first, y: float64[N, C].
    """
    x, z = first - first.mean(0), y - y.mean(0)
    power = np.maximum((x * x).sum(0), 1e-12)
    a = np.clip((x * z).sum(0) / power, 0.0, _MOST_SCALE)
    return a, y.mean(0) - a * first.mean(0)


def correlation(a: F64, b: F64) -> F64:
    """Pearson's r of every column of float64[N, C]; 0 where one does not vary."""
    x, z = a - a.mean(0), b - b.mean(0)
    power = (x * x).sum(0) * (z * z).sum(0)
    return np.asarray((x * z).sum(0) / np.sqrt(np.where(power < 1e-18, np.inf, power)))


def _within(values: F64, folds: Sequence[Fold], known: Bools) -> F64:
    """Known frames, about the mean of their block."""
    out = values.copy()
    for fold in folds:
        here = fold.test & known
        if here.any():
            out[here] -= values[here].mean(0)
    return out[known]


def _centred(gram: F64, train: Bools) -> F64:
    """The Gram matrix about the mean of the training inputs, at a mean power of 1 there."""
    row = gram[:, train].mean(1)
    moved = gram - row[:, None] - row[None] + gram[np.ix_(train, train)].mean()
    return np.asarray(moved / max(float(np.diag(moved)[train].mean()), 1e-12))


def choose(
    grams: tuple[F64, F64] | None, first: F64, y: F64, folds: Sequence[Fold], use: Bools
) -> Choice:
    """Cross-validate every mix and penalty; see the module.

    Args:
        grams: float64[N, N] of both kinds of inputs; None for scale and bias alone.
        first, y: float64[N, C].
        folds: of `blocked`.
        use: bool[N], frames that may be seen at all.
    """
    shape = (len(MIXES), len(PENALTIES), *y.shape)
    guesses, plain = np.full(shape, np.nan), np.full(y.shape, np.nan)
    for fold in folds:
        test, train = fold.test & use, fold.train & use
        if not test.any() or train.sum() < 2:
            continue
        a, b = scale_and_bias(first[train], y[train])
        base = a * first + b
        plain[test] = base[test]
        if grams is None:
            continue
        kinds = [_centred(g, train) for g in grams]
        for m, mix in enumerate(MIXES):
            kernel = mix * kinds[0] + (1.0 - mix) * kinds[1]
            values, vectors = np.linalg.eigh(kernel[np.ix_(train, train)])
            right = vectors.T @ (y - base)[train]
            across = kernel[np.ix_(test, train)] @ vectors
            for p, penalty in enumerate(PENALTIES):
                shrunk = right / (np.maximum(values, 0.0) + penalty * train.sum())[:, None]
                guesses[m, p][test] = base[test] + across @ shrunk
    known = np.isfinite(plain[:, 0])
    # Not the error: that likes what hardly moves, and amplitude is set after this. And within the
    # blocks: who is fitted without a block that is high expects it lower than who is not.
    truth = _within(y, folds, known)
    before, simple = (correlation(_within(g, folds, known), truth) for g in (first, plain))
    if grams is None:
        none = np.full(y.shape[1], np.inf)
        return Choice(np.zeros(y.shape[1]), none, plain, plain, before, simple)
    flat = guesses.reshape(-1, *y.shape)
    score = np.stack([correlation(_within(g, folds, known), truth) for g in flat])
    best, outputs = score.argmax(0), np.arange(y.shape[1])
    mix = np.repeat(MIXES, len(PENALTIES))[best]
    penalty = np.tile(PENALTIES, len(MIXES))[best]
    guess = flat[best, :, outputs].T
    worse = score[best, outputs] < simple - _TIE
    guess[:, worse] = plain[:, worse]
    after = np.where(worse, simple, score[best, outputs])
    return Choice(mix, np.where(worse, np.inf, penalty), plain, guess, before, after)


def solve(
    inputs: tuple[F64, F64], residual: F64, mix: float, penalty: float
) -> tuple[F64, F64, float]:
    """D of one output, for inputs as they come.

    Args:
        inputs: float64[n, F1] and float64[n, F2], of the training frames.
        residual: float64[n], y - a y0 - b.

    Returns:
        float64[F1], float64[F2], and the bias that undoes their means.
    """
    centred = [x - x.mean(0) for x in inputs]
    share = [
        s / max(float(np.square(x).sum(1).mean()), 1e-12)
        for x, s in zip(centred, (mix, 1.0 - mix), strict=True)
    ]
    kernel = sum(s * (x @ x.T) for x, s in zip(centred, share, strict=True))
    dual = np.linalg.solve(kernel + penalty * len(residual) * np.eye(len(residual)), residual)
    first, second = (s * (x.T @ dual) for x, s in zip(centred, share, strict=True))
    bias = -float(inputs[0].mean(0) @ first + inputs[1].mean(0) @ second)
    return first, second, bias
