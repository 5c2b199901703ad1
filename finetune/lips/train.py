"""Trains the motion network on rendered sessions, with carried state.

    python -m visavis.finetune.lips.train --minutes 40 --out FOLDER

Each row of the batch is one endless microphone: sessions follow each other in it, and the network's
state is carried over every cut; gradients stop at the cuts. Resumable: the folder holds a
checkpoint, and a run goes on from it.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from visavis.finetune.speech.corpus import build_corpus, cache_folder
from visavis.finetune.speech.phones import PHONES
from visavis.finetune.speech.sessions import build_sessions, held_out
from visavis.models.motion import Motion, MotionConfig, State

__all__ = ["ROWS_AHEAD", "Streams", "correlation", "load_motion", "loss", "train"]

log = logging.getLogger(__name__)

LOOKAHEAD_MS = 100
# Tick k, which shows [40k, 40k + 40) ms, is fed rows 4k + ROWS_AHEAD .. 4k + ROWS_AHEAD + 3.
ROWS_AHEAD = LOOKAHEAD_MS // 10 - 4

F32 = NDArray[np.float32]

# Scale of each channel's error: a typical deviation.
_SCALE = torch.tensor([0.06, 0.035, 0.045, 0.30, 0.25, 0.25])
_WEIGHT = torch.tensor([1.6, 0.8, 1.0, 1.0, 0.8, 0.6])


class Streams:
    """Endless microphones, made of sessions in random order.

    Args:
        paths: of session files.
        streams: how many microphones.
        seed: of their order.
    """

    def __init__(self, paths: Sequence[Path], streams: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._paths = list(paths)
        self._queue: list[Path] = []
        self._rows: list[tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.uint8]]] = []
        self._at = [0] * streams
        self._rows = [self._load() for _ in range(streams)]
        # Out of phase, or all of them would change sessions at once.
        self._at = [int(self._rng.integers(0, len(r[1]) // 4)) * 2 for r in self._rows]

    def _load(self) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.uint8]]:
        if not self._queue:
            order = self._rng.permutation(len(self._paths))
            self._queue = [self._paths[int(i)] for i in order]
        with np.load(self._queue.pop()) as data:
            features, tract, phones = data["features"], data["tract"], data["phones"]
        steps = (len(tract) - ROWS_AHEAD // 2) // 2 * 2
        return features[ROWS_AHEAD : ROWS_AHEAD + 2 * steps], tract[:steps], phones[:steps]

    def take(self, ticks: int) -> tuple[F32, F32, NDArray[np.int64], NDArray[np.bool_]]:
        """The next `ticks` of every stream.

        Returns:
            features f32[N, 4 ticks, F], tract f32[N, 2 ticks, 9], phones int64[N, 2 ticks], and
            which streams begin a session here, bool[N].
        """
        features, tracts, phones = [], [], []
        fresh = np.zeros(len(self._rows), np.bool_)
        steps = 2 * ticks
        for i in range(len(self._rows)):
            if self._at[i] + steps > len(self._rows[i][1]):
                self._rows[i] = self._load()
                while len(self._rows[i][1]) < steps:
                    self._rows[i] = self._load()
                self._at[i] = 0
                fresh[i] = True
            f, t, p = self._rows[i]
            a = self._at[i]
            features.append(f[2 * a : 2 * (a + steps)])
            tracts.append(t[a : a + steps])
            phones.append(p[a : a + steps])
            self._at[i] = a + steps
        return (
            np.stack(features).astype(np.float32),
            np.stack(tracts).astype(np.float32),
            np.stack(phones).astype(np.int64),
            fresh,
        )


def loss(tract: Tensor, phones: Tensor, want: Tensor, spoken: Tensor) -> tuple[Tensor, Tensor]:
    """What training minimises, and its part without the auxiliary head.

    Args:
        tract: f32[N, T, 9] with logits; phones: f32[N, T, P] logits.
        want: f32[N, T, 9]; spoken: int64[N, T], the phones said.
    """
    closed, teeth = want[:, :, 6], want[:, :, 7]
    error = (tract[:, :, :6] - want[:, :, :6]) / _SCALE
    # Absolute error keeps edges crisp, squared error keeps the far ones in check.
    cost = 0.35 * error.abs() + 0.65 * functional.smooth_l1_loss(
        error, torch.zeros_like(error), reduction="none", beta=2.0
    )
    contact = 1.0 + 2.0 * closed + 1.0 * teeth
    shape = (cost * _WEIGHT).mean(2) * contact
    move = (error[:, 1:] - error[:, :-1]).abs() * _WEIGHT
    logits, known = tract[:, :, 6:], want[:, :, 6:]
    sure = functional.binary_cross_entropy_with_logits(
        logits, known, reduction="none", pos_weight=torch.tensor([2.0, 2.0, 1.0])
    )
    main = shape.mean() + 0.4 * move.mean() + (sure * torch.tensor([1.0, 0.7, 0.6])).sum(2).mean()
    said = functional.cross_entropy(phones.flatten(0, 1), spoken.flatten())
    return main + 0.25 * said, main


def _mask(features: F32, rng: np.random.Generator) -> None:
    """Drops bands and moments (SpecAugment, Park et al. 2019), and tilts colours, in place."""
    n, rows, width = features.shape
    bands = width - 2
    for i in range(n):
        for _ in range(2):
            size = int(rng.integers(0, 12))
            low = int(rng.integers(0, bands - size))
            if rng.random() < 0.5:
                features[i, :, low : low + size] = rng.normal(0.0, 0.5)
        if rng.random() < 0.4:
            start, size = int(rng.integers(0, rows - 6)), int(rng.integers(1, 6))
            features[i, start : start + size, :bands] = -1.5
    tilt = np.linspace(-1.0, 1.0, bands) * rng.normal(0.0, 0.25, (n, 1, 1))
    features[:, :, :bands] += tilt + rng.normal(0.0, 0.15, (n, 1, 1))
    features += rng.normal(0.0, 0.08, features.shape)


def _validate(motion: Motion, paths: Sequence[Path], ticks: int) -> dict[str, float]:
    motion.eval()
    streams = Streams(paths, 16, 1)
    state = motion.initial_state(16)
    totals: list[tuple[float, float]] = []
    predicted, wanted = [], []
    with torch.no_grad():
        for _ in range(ticks // 100):
            features, tract, phones, _ = streams.take(100)
            out, said, state = motion(torch.from_numpy(features), state)
            want, spoken = torch.from_numpy(tract), torch.from_numpy(phones)
            totals.append((float(loss(out, said, want, spoken)[1]), _accuracy(said, spoken)))
            predicted.append(out.flatten(0, 1).numpy())
            wanted.append(want.flatten(0, 1).numpy())
    motion.train()
    p, w = np.concatenate(predicted), np.concatenate(wanted)
    result = {
        "loss": float(np.mean([a for a, _ in totals])),
        "phones": float(np.mean([b for _, b in totals])),
    }
    for c, name in ((0, "aperture"), (2, "width"), (3, "protrusion")):
        result["r_" + name] = correlation(p[:, c], w[:, c])
    for c, name in ((6, "closed"), (7, "liptooth"), (8, "speech")):
        yes, truth = p[:, c] > 0, w[:, c] > 0.5
        both = float((yes & truth).sum())
        result["f1_" + name] = 2 * both / max(float(yes.sum() + truth.sum()), 1.0)
    return result


def correlation(a: F32, b: F32) -> float:
    """Pearson's r; 0 where one of them does not vary."""
    if np.std(a) < 1e-9 or np.std(b) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _accuracy(said: Tensor, spoken: Tensor) -> float:
    voiced = spoken > 0
    return float((said.argmax(2) == spoken)[voiced].float().mean())


def load_motion(path: Path) -> Motion:
    """A trained network from a checkpoint of `train`, ready for use."""
    data = torch.load(path, weights_only=True)
    motion = Motion(MotionConfig.from_dict(data["config"]))
    motion.load_state_dict(data["average"])
    return motion.eval()


def train(
    paths: Sequence[Path],
    out: Path,
    *,
    minutes: float | None = None,
    last: int | None = None,
    streams: int = 12,
    ticks: int = 75,
    rate: float = 1.5e-3,
    seed: int = 0,
    everything: bool = False,
) -> dict[str, float]:
    """Trains for a time or for a number of steps, or goes on training.

    Args:
        paths: of session files; those of held-out voices validate.
        out: folder of the checkpoint `motion.pt` and of `metrics.jsonl`.
        minutes: of wall time in this run; the rate falls to nothing at its end.
        last: steps in this run, in place of minutes; only then does a seed repeat the result.
        streams, ticks: size of a batch: so many microphones, so many ticks of each.
        rate: highest learning rate.
        seed: of everything random.
        everything: also train on held-out voices (validation then proves nothing).

    Returns:
        the last validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    voices = {p: _voice(p) for p in paths}
    kept = [p for p in paths if held_out(voices[p])]
    used = [p for p in paths if everything or not held_out(voices[p])]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    with np.load(used[0]) as data:
        width = int(data["features"].shape[1])
    motion = Motion(MotionConfig(features=width, phones=len(PHONES)))
    average = {k: v.clone() for k, v in motion.state_dict().items()}
    steps = 0
    checkpoint = out / "motion.pt"
    if checkpoint.exists():
        data = torch.load(checkpoint, weights_only=True)
        motion.load_state_dict(data["weights"])
        average, steps = data["average"], int(data["steps"])
    optimiser = torch.optim.AdamW(
        motion.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    source = Streams(used, streams, seed + steps)
    state: State = motion.initial_state(streams)
    begun = reported = time.monotonic()
    first = steps
    recent: list[float] = []
    result: dict[str, float] = {}
    log.info("%d sessions to train on, %d held out", len(used), len(kept))
    while True:
        if minutes is not None:
            spent = (time.monotonic() - begun) / (60.0 * minutes)
        else:
            spent = (steps - first) / last if last else 1.0
        if spent >= 1.0:
            break
        warm = min(1.0, (len(recent) + 1 if not result else 200) / 100.0)
        for group in optimiser.param_groups:
            group["lr"] = rate * warm * 0.5 * (1.0 + math.cos(math.pi * spent)) + 1e-5
        features, tract, phones, fresh = source.take(ticks)
        _mask(features, rng)
        # Half of the sessions begin with a network that has heard nothing, as real ones do.
        reset = torch.from_numpy((fresh & (rng.random(streams) < 0.5)).astype(np.float32))
        state = tuple(
            s.detach().float() * (1 - reset.view(-1, *[1] * (s.dim() - 1))) for s in state
        )
        # A quarter faster where the processor multiplies bfloat16; the weights stay float32.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predicted, said, state = motion(torch.from_numpy(features), state)
        predicted, said = predicted.float(), said.float()
        total, main = loss(predicted, said, torch.from_numpy(tract), torch.from_numpy(phones))
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(motion.parameters(), 1.0)
        optimiser.step()
        steps += 1
        keep = min(0.999, (1.0 + steps) / (10.0 + steps))
        with torch.no_grad():
            for name, value in motion.state_dict().items():
                average[name].lerp_(value, 1.0 - keep)
        recent.append(float(main.detach()))
        if time.monotonic() - reported > 300.0 or len(recent) == 200 and not result:
            result = _report(motion, average, kept, out, steps, recent)
            reported = time.monotonic()
            recent = recent[-1:]
            _save(checkpoint, motion, average, steps)
    result = _report(motion, average, kept, out, steps, recent)
    _save(checkpoint, motion, average, steps)
    return result


def _report(
    motion: Motion,
    average: dict[str, Tensor],
    kept: Sequence[Path],
    out: Path,
    steps: int,
    recent: Sequence[float],
) -> dict[str, float]:
    result: dict[str, float] = {"steps": steps, "train": float(np.mean(recent))}
    if kept:
        smooth = Motion(motion.config)
        smooth.load_state_dict(average)
        result |= _validate(smooth, kept, 600)
    with (out / "metrics.jsonl").open("a") as f:
        f.write(json.dumps({k: round(v, 4) for k, v in result.items()}) + "\n")
    log.info("%s", " ".join(f"{k} {v:.3f}" for k, v in result.items()))
    return result


def _save(path: Path, motion: Motion, average: dict[str, Tensor], steps: int) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "config": motion.config.as_dict(),
            "weights": motion.state_dict(),
            "average": average,
            "steps": steps,
        },
        partial,
    )
    partial.replace(path)


def _voice(path: Path) -> str:
    with np.load(path) as data:
        return str(data["voice"])


def main() -> None:
    """Command line: builds what is missing, then trains."""
    parser = argparse.ArgumentParser(description="Train the motion network.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--hours", type=float, default=3.2, help="of raw synthetic speech")
    parser.add_argument("--passes", type=int, default=4, help="renderings of each shard")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--everything", action="store_true", help="train on held-out voices, too")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=0, help="of the renderings and of training")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    cache = args.cache or cache_folder()
    paths = build_sessions(cache, build_corpus(cache, args.hours, 0), args.passes, args.seed)
    train(
        paths,
        args.out,
        minutes=args.minutes,
        rate=args.rate,
        seed=args.seed,
        everything=args.everything,
    )


if __name__ == "__main__":
    main()
