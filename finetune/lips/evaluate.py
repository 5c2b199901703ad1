"""Measures a motion network as a face would show it: gated, closures enforced, 25 frames a second.

    python -m visavis.finetune.lips.evaluate --motion motion.pt [--tracks FOLDER --clips FOLDER]

Speech: voices that training never heard, from the corpus, plain and as a session would distort
them. Sounds that are no speech: minutes of each kind. Real clips, where there are any: a folder of
npz with `time` and `aperture` (IOD) per video frame, and a folder of clips of the same names.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.audio import RATE, LogMel
from visavis.finetune.lips.listen import hear, live_tract, read_audio
from visavis.finetune.lips.train import correlation, load_motion
from visavis.finetune.speech import augment
from visavis.finetune.speech.corpus import cache_folder, load_shard
from visavis.finetune.speech.gestures import gestures
from visavis.finetune.speech.phones import SHAPES, Phone
from visavis.finetune.speech.sessions import held_out, spoken
from visavis.models.motion import Motion

__all__ = ["Closures", "closures", "evaluate", "lag_ms", "negatives"]

log = logging.getLogger(__name__)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SHUT = 0.012  # IOD: a smaller gap is a closed mouth
TOLERANCE = 0.040


def _times(frames: int) -> F64:
    return np.asarray((np.arange(frames) + 0.5) / 25.0, np.float64)


def lag_ms(predicted: F32, wanted: F32, *, span: int = 6, rate: float = 25.0) -> float:
    """How late the prediction is: the peak of the cross-correlation, by a parabola through it."""
    n = len(wanted)
    shifts = range(-span, span + 1)
    r = [correlation(predicted[span + s : n - span + s], wanted[span : n - span]) for s in shifts]
    best = int(np.argmax(r))
    offset = 0.0
    if 0 < best < len(r) - 1:
        a, b, c = r[best - 1], r[best], r[best + 1]
        offset = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c else 0.0
    return (best - span + offset) * 1000.0 / rate


@dataclass(frozen=True, slots=True)
class Closures:
    """Counts over a recording.

    Attributes:
        wanted, met: P, B, M said, and those for which the lips shut within 40 ms.
        open_frames, false: frames of speech with no closure and no pause near, and those shut.
    """

    wanted: int
    met: int
    open_frames: int
    false: int


def closures(aperture: F32, phones: Sequence[Phone]) -> Closures:
    """Compares the shown aperture, f32[K] at 25 fps, with the phones said."""
    times = _times(len(aperture))
    shut = aperture < SHUT
    near = np.zeros(len(times), np.bool_)
    said = np.zeros(len(times), np.bool_)
    wanted = met = 0
    for phone in phones:
        kind = SHAPES[phone.name].kind
        if kind == "silence":
            continue
        said |= (times > phone.start) & (times < phone.end)
        if kind not in {"closure", "liptooth"}:
            continue
        # A frame stands for the 20 ms on either side of its middle.
        reach = TOLERANCE + 0.02
        close = (times > phone.start - reach) & (times < phone.end + reach)
        near |= close
        if kind == "closure" and times[0] < phone.start and phone.end < times[-1]:
            wanted += 1
            met += bool((shut & close).any())
    # Two frames beside a pause the mouth may be on its way.
    still = np.convolve(~said, np.ones(5), "same") > 0
    free = ~still & ~near
    return Closures(wanted, met, int(free.sum()), int((shut & free).sum()))


def _speech(
    motion: Motion, cache: Path, count: int, distort: bool, gain: Sequence[float]
) -> dict[str, float]:
    rng = np.random.default_rng(7)
    shards = [p for p in sorted((cache / "speech" / "seed-0").glob("*.npz"))]
    kept = [p for p in shards if held_out(str(np.load(p)["voice"]))][:count]
    if not kept:
        raise RuntimeError("No held-out speech: build the corpus first.")
    total = np.zeros(4, np.int64)
    channels: list[list[float]] = [[], [], [], []]
    lags, amplitude, rows = [], [], []
    for path in kept:
        sound, phones = spoken(load_shard(path), rng, plain=not distort)
        sound = sound / np.float32(np.sqrt(np.mean(sound**2))) * np.float32(0.05)
        if distort:
            sound = augment.colour(augment.reverberate(sound, rng), rng)
            power = np.float32(0.05 * 10 ** (-rng.uniform(8.0, 30.0) / 20.0))
            sound = sound + power * augment.noise(len(sound), rng)
            sound = sound * np.float32(10 ** (rng.uniform(-15.0, 10.0) / 20.0))
        moves, gate = live_tract(hear(motion, sound), {"gain": list(gain)})
        want = gestures(phones, _times(len(moves)))
        shown = want[:, 8] > 0.5
        counts = closures(moves[:, 0], phones)
        total += (counts.wanted, counts.met, counts.open_frames, counts.false)
        for c in range(4):
            channels[c].append(correlation(moves[:, c], want[:, c]))
        lags.append(lag_ms(moves[:, 0], want[:, 0]))
        amplitude.append(float(np.std(moves[shown, 0]) / np.std(want[shown, 0])))
        rows.append(float((gate[shown] > 0.5).mean()))
    return {
        "voices_shards": len(kept),
        "closure_recall": float(total[1] / max(total[0], 1)),
        "false_closures": float(total[3] / max(total[2], 1)),
        "r_aperture": float(np.mean(channels[0])),
        "r_jaw": float(np.mean(channels[1])),
        "r_width": float(np.mean(channels[2])),
        "r_protrusion": float(np.mean(channels[3])),
        "lag_ms": float(np.median(lags)),
        "amplitude": float(np.mean(amplitude)),
        "gate_open_in_speech": float(np.mean(rows)),
    }


_Kind = Callable[[int, np.random.Generator], F32]
_KINDS: dict[str, _Kind] = {
    "keys": augment.keys,
    "breath": augment.breath,
    "rustle": augment.rustle,
    "music": augment.music,
    "noise": augment.noise,
}


def negatives(motion: Motion, minutes: float = 2.0) -> dict[str, float]:
    """Share of frames in which sounds that are no speech open the mouth (over .012 IOD)."""
    result = {}
    for number, (name, make) in enumerate(_KINDS.items()):
        opened = []
        for part in range(max(1, round(minutes * 3))):
            rng = np.random.default_rng([99, number, part])
            sound = make(20 * RATE, rng) * np.float32(10 ** (rng.uniform(-45.0, -20.0) / 20.0))
            sound = sound + rng.normal(0.0, 10 ** (-75 / 20), len(sound)).astype(np.float32)
            moves, _ = live_tract(hear(motion, np.clip(sound, -1, 1)))
            opened.append((moves[:, 0] > SHUT).mean())
        result[name] = float(np.mean(opened))
    rng = np.random.default_rng(5)
    for name, level in (("silence", 0.0), ("hiss", 10 ** (-60 / 20))):
        sound = (rng.normal(0.0, 1.0, 60 * RATE) * level).astype(np.float32)
        moves, _ = live_tract(hear(motion, sound))
        result[f"largest_move_in_{name}"] = float(np.abs(moves).max())
    return result


def _envelope(sound: F32, frames: int, low: float, high: float) -> F32:
    """Energy of a band in dB per video frame, smoothed over 120 ms: a baseline that anyone has."""
    mel = LogMel({"low_hz": low, "high_hz": high, "bands": 8.0, "mean_strength": 0.0})
    rows = mel.step(mel.initial_state(), np.concatenate((sound, np.zeros(RATE, np.float32))))
    power = rows[:, :8].mean(1)
    smooth = np.convolve(power, np.ones(12) / 12, "same")
    # A row's window ends where the row is complete.
    at = (np.arange(frames) + 0.5) * 4.0 - 1.0 + 1.25
    return np.asarray(np.interp(at, np.arange(len(smooth)), smooth), np.float32)


def _clips(
    motion: Motion, tracks: Path, clips: Path, gain: Sequence[float]
) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for path in sorted(tracks.glob("*.npz")):
        found = [p for p in clips.glob(path.stem + ".*") if p.suffix in {".mp4", ".mpg"}]
        if not found:
            continue
        with np.load(path) as data:
            time, aperture = data["time"], data["aperture"].astype(np.float32)
        sound = read_audio(found[0])
        frames = int(time[-1] * 25)
        want = np.interp(_times(frames), time, aperture).astype(np.float32)
        heard = hear(motion, np.pad(sound, (0, RATE)))[:frames]
        moves, gate = live_tract(heard, {"gain": list(gain)})
        energy = _envelope(sound, frames, 60.0, 7600.0)
        first = _envelope(sound, frames, 250.0, 1000.0)
        table[path.stem] = {
            "r": correlation(moves[:, 0], want),
            "r_energy": correlation(energy, want),
            "r_f1_band": correlation(first, want),
            "lag_ms": lag_ms(moves[:, 0], want),
            "std_ratio": float(np.std(moves[:, 0]) / np.std(want)),
            "median": float(np.median(moves[:, 0])),
            "median_real": float(np.median(want)),
            "q95": float(np.quantile(moves[:, 0], 0.95)),
            "q95_real": float(np.quantile(want, 0.95)),
            "speed": float(np.abs(np.diff(moves[:, 0])).mean() * 25),
            "speed_real": float(np.abs(np.diff(want)).mean() * 25),
            "gate_open": float((gate > 0.5).mean()),
        }
    return table


def _mean_clip(table: dict[str, dict[str, float]], as_one: Sequence[str]) -> dict[str, float]:
    """The mean over clips; those whose names begin alike, with one of `as_one`, weigh as one."""
    groups: dict[str, list[dict[str, float]]] = {}
    for name, row in table.items():
        family = next((prefix for prefix in as_one if name.startswith(prefix)), name)
        groups.setdefault(family, []).append(row)
    keys = next(iter(table.values()))
    return {
        key: float(np.mean([np.mean([row[key] for row in rows]) for rows in groups.values()]))
        for key in keys
    }


def evaluate(
    motion: Motion,
    cache: Path,
    *,
    gain: Sequence[float] = (1.0,) * 6,
    shards: int = 24,
    tracks: Path | None = None,
    clips: Path | None = None,
    as_one: Sequence[str] = (),
) -> dict[str, object]:
    """All of it; see the module."""
    result: dict[str, object] = {
        "speech": _speech(motion, cache, shards, False, gain),
        "speech_distorted": _speech(motion, cache, shards, True, gain),
        "not_speech": negatives(motion),
    }
    if tracks is not None and clips is not None:
        table = _clips(motion, tracks, clips, gain)
        result["clips"] = {**table, "mean": _mean_clip(table, as_one)} if table else {}
    return result


def main() -> None:
    """Command line: prints JSON lines."""
    parser = argparse.ArgumentParser(description="Measure a motion network.")
    parser.add_argument("--motion", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--gain", type=float, nargs=6, default=[1.0] * 6)
    parser.add_argument("--tracks", type=Path, default=None)
    parser.add_argument("--clips", type=Path, default=None)
    parser.add_argument("--as-one", nargs="*", default=[], help="prefixes of clips of one family")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    result = evaluate(
        load_motion(args.motion),
        args.cache or cache_folder(),
        gain=args.gain,
        shards=args.shards,
        tracks=args.tracks,
        clips=args.clips,
        as_one=args.as_one,
    )
    for name, table in result.items():
        rows = table.items() if isinstance(table, dict) else []
        for key, value in rows:
            shown = (
                {k: round(v, 3) for k, v in value.items()}
                if isinstance(value, dict)
                else round(value, 4)
            )
            log.info("%s", json.dumps({name: {key: shown}}))


if __name__ == "__main__":
    main()
