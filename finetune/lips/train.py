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

from visavis.finetune.lips.loss import tract_loss
from visavis.finetune.lips.ridge import fit_ridge
from visavis.finetune.lips.streams import Recording, Streams, load_recording
from visavis.finetune.speech.corpus import build_corpus, cache_folder
from visavis.finetune.speech.phones import PHONES
from visavis.finetune.speech.sessions import build_sessions, held_out
from visavis.models.motion import Motion, MotionConfig, State

__all__ = ["correlation", "load_motion", "train"]

log = logging.getLogger(__name__)

F32 = NDArray[np.float32]

SHOWN_MS = 120  # the head that validation reports
# The heads' shares of the loss, by look-ahead: what is shown by default counts most.
_SHARE = {40: 0.15, 80: 0.2, 120: 0.3, 160: 0.2, 200: 0.15}
_NAMED = 0.25  # share of the auxiliary head that names phones
_REPORT_S = 240.0
_NOISE = 0.3  # most noise on a row's values, whose deviation is about 1


def _mask(features: F32, rng: np.random.Generator) -> None:
    """Drops bands and moments (SpecAugment, Park et al. 2019), tilts and blurs colours, in place.

    What is left must not be too fine: synthetic voices differ from real ones in their details, and
    a ridge with a penalty of twice the inputs' own variance carries over to real lips better than
    one that fits its voices best (docs/lips.md).
    """
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
    tilt = np.linspace(-1.0, 1.0, bands) * rng.normal(0.0, 0.3, (n, 1, 1))
    features[:, :, :bands] += tilt + rng.normal(0.0, 0.2, (n, 1, 1))
    grain = _NOISE * rng.random((n, 1, 1), np.float32)
    features += grain * rng.standard_normal(features.shape, np.float32)


def _validate(motion: Motion, kept: Sequence[Recording], ticks: int) -> dict[str, float]:
    motion.eval()
    lookaheads = motion.config.lookaheads
    streams = Streams(kept, lookaheads, 16, 1)
    shown = lookaheads.index(SHOWN_MS)
    state = motion.initial_state(16)
    losses, named, predicted, wanted = [], [], [], []
    with torch.no_grad():
        for _ in range(ticks // 100):
            batch = streams.take(100)
            tract, _, phones, state = motion(torch.from_numpy(batch.features), state)
            losses.append(tract_loss(tract, torch.from_numpy(batch.tract)).numpy())
            spoken = torch.from_numpy(batch.phones)
            named.append(float((phones.argmax(2) == spoken)[spoken > 0].float().mean()))
            predicted.append(tract[:, shown].flatten(0, 1).numpy())
            wanted.append(batch.tract[:, shown].reshape(-1, batch.tract.shape[-1]))
    motion.train()
    p, w = np.concatenate(predicted), np.concatenate(wanted)
    each = np.mean(losses, 0)
    result = {"phones": float(np.mean(named))}
    result |= {f"loss_{ms}": float(value) for ms, value in zip(lookaheads, each, strict=True)}
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
    streams: int = 32,
    ticks: int = 75,
    rate: float = 2e-3,
    seed: int = 0,
    everything: bool = False,
    config: MotionConfig | None = None,
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
        config: of a new network.

    Returns:
        the last validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    motion = Motion(config or MotionConfig(phones=len(PHONES)))
    average = {k: v.clone() for k, v in motion.state_dict().items()}
    steps = 0
    checkpoint = out / "motion.pt"
    if checkpoint.exists():
        data = torch.load(checkpoint, weights_only=True)
        motion = Motion(MotionConfig.from_dict(data["config"]))
        motion.load_state_dict(data["weights"])
        average, steps = data["average"], int(data["steps"])
        # The ridge of the run before is fitted anew at the end of this one.
        average |= {k: v.clone() for k, v in motion.state_dict().items() if k.startswith("ridge")}
    lookaheads = motion.config.lookaheads
    used, kept = _load(paths, max(lookaheads), everything)
    share = torch.tensor([_SHARE[ms] for ms in lookaheads])
    share = share / share.sum()
    optimiser = torch.optim.AdamW(
        motion.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    source = Streams(used, lookaheads, streams, seed + steps)
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
        warm = min(1.0, (steps - first + 1) / 100.0)
        for group in optimiser.param_groups:
            group["lr"] = rate * warm * 0.5 * (1.0 + math.cos(math.pi * spent)) + 1e-5
        batch = source.take(ticks)
        _mask(batch.features, rng)
        # Half of the sessions begin with a network that has heard nothing, as real ones do.
        reset = torch.from_numpy((batch.fresh & (rng.random(streams) < 0.5)).astype(np.float32))
        state = tuple(
            s.detach().float() * (1 - reset.view(-1, *[1] * (s.dim() - 1))) for s in state
        )
        # Faster where the processor multiplies bfloat16; the weights stay float32.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            tract, _, phones, state = motion(torch.from_numpy(batch.features), state)
        main = (tract_loss(tract.float(), torch.from_numpy(batch.tract)) * share).sum()
        named = functional.cross_entropy(
            phones.float().flatten(0, 1), torch.from_numpy(batch.phones).flatten()
        )
        total: Tensor = main + _NAMED * named
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
        if time.monotonic() - reported > _REPORT_S:
            result = _report(motion, average, kept, out, steps, recent)
            reported = time.monotonic()
            recent = recent[-1:]
            _save(checkpoint, motion, average, steps)
    finished = Motion(motion.config)
    finished.load_state_dict(average)
    fit_ridge(finished, [r for r in used if r.tract[:, -1].any()])
    average = finished.state_dict()
    result = _report(motion, average, kept, out, steps, recent)
    _save(checkpoint, motion, average, steps)
    return result


def _load(
    paths: Sequence[Path], longest_ms: int, everything: bool
) -> tuple[list[Recording], list[Recording]]:
    """Recordings to train on, and those of held-out voices."""
    used: list[Recording] = []
    kept: list[Recording] = []
    for path in paths:
        recording = load_recording(path, longest_ms)
        if held_out(_voice(path)):
            kept.append(recording)
            if not everything:
                continue
        used.append(recording)
    return used, kept


def _report(
    motion: Motion,
    average: dict[str, Tensor],
    kept: Sequence[Recording],
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
