"""From a whole utterance to coefficients in plain numpy, apart from the code it checks.

Everything is computed at once where it can be: one spectrogram of the whole sound in float64, the
trackers as plain recurrences over its rows, the network by ONNX's own reference evaluator. Only
what the operations' documentation says is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import webrtcvad
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from visavis.engines.person import Person

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]


def features(pcm: F32) -> F64:
    """`logmel@1` of a whole sound with its default parameters: f64[rows, 66]."""
    sound = np.concatenate((np.zeros(240), np.clip(pcm.astype(np.float64), -4, 4)))
    rows = len(pcm) // 160
    frames = np.stack([sound[160 * j : 160 * j + 400] for j in range(rows)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    mel = power @ _bank() / (window**2).sum()
    energy = (frames[:, 80:] ** 2).mean(1)
    loudness = 10 * np.log10(energy + 1e-10)

    level, noise, heard = -22.0, -70.0, 0.0
    mean = prior = np.linspace(-2.2, -7.0, 64)
    out = np.zeros((rows, 66))
    for j, now in enumerate(loudness):
        noise += 0.2 * (now - noise) if now < noise else min(0.04, 0.002 * (now - noise))
        speaks = now > noise + 10 and now > -65
        if speaks:
            heard = min(heard + 1, 800)
            rate = 1 / (100 + heard)
            level = np.clip(level + (0.05 if now > level else rate) * (now - level), -44, 0)
        logs = np.log(mel[j] * 10 ** (-level / 10) + 10**-5.8)
        if speaks:
            mean = mean + max(rate, 0.0025) * (logs - mean)
        out[j, :64] = (logs - (prior + 0.5 * (mean - prior))) / 2.2
        out[j, 64] = np.clip((now - level) / 10, -5, 2)
        out[j, 65] = min((now - noise) / 10, 5)
    return out


def _bank() -> F64:
    """Triangles on the mel scale (O'Shaughnessy), each of area 1, f64[257, 64]."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (60, 7600))
    edges = 700 * (10 ** (np.linspace(low, high, 66) / 2595) - 1)
    bins = np.arange(257) * 31.25
    bank = np.zeros((257, 64))
    for band in range(64):
        left = max(edges[band + 1] - edges[band], 31.25)
        right = max(edges[band + 2] - edges[band + 1], 31.25)
        rise = (bins - (edges[band + 1] - left)) / left
        fall = (edges[band + 1] + right - bins) / right
        triangle = np.maximum(0, np.minimum(rise, fall))
        bank[:, band] = triangle / triangle.sum()
    return bank


def voiced(pcm: F32) -> NDArray[np.bool_]:
    """What WebRTC's detector says of every 20 ms of a whole sound."""
    detector = webrtcvad.Vad(3)
    levels = np.rint(np.clip(pcm, -1, 1) * 32767).astype("<i2")
    frames = levels[: len(levels) // 320 * 320].reshape(-1, 320)
    return np.array([detector.is_speech(frame.tobytes(), 16000) for frame in frames])


def coefficients(person: Person, pcm: F32, lookahead_ms: int) -> tuple[F64, F64]:
    """`tract@2` of a whole sound: coefficients f64[ticks, C] and speech f64[ticks]."""
    rows, opinions = features(pcm), voiced(pcm)
    spec = person.stages["motion"]
    parts: Mapping[str, Any] = person.stage_parts("motion")
    graph = person.graphs[spec.params["graph"]]
    network = ReferenceEvaluator(onnx.load_from_string(person.parts[graph.variants["fp32"]]))
    heads = {ms: head for head, ms in enumerate(spec.params["lookaheads"])}
    early = lookahead_ms // 10 - 4
    padded = np.concatenate((np.zeros((-early % 4, rows.shape[1])), rows))
    ticks = len(padded) // 4
    state = {name: np.zeros((1, *graph.inputs[name]), np.float32) for name, _ in graph.state}
    tract = []
    for tick in range(ticks):
        feeds = {"features": padded[None, 4 * tick : 4 * tick + 4].astype(np.float32), **state}
        outputs = dict(zip(network.output_names, network.run(None, feeds), strict=True))
        state = {name: outputs[following] for name, following in graph.state}
        tract.append(outputs["tract"][0].astype(np.float64))
    said = np.stack(tract)
    steps = np.empty_like(said[:, 0])
    for tick in range(ticks):
        weights, guesses = [], []
        for ago, weight in enumerate(spec.params["blend"]):
            head = heads.get(lookahead_ms - 40 * ago)
            if head is not None and ago <= tick:
                weights.append(weight)
                guesses.append(said[tick - ago, head])
        steps[tick] = np.average(guesses, axis=0, weights=weights)

    first = early // 4 + (early % 4 > 0)  # network steps before the first tick
    soon = heads.get(lookahead_ms - 40)

    def agrees(tick: int) -> bool:
        if tick < 0:
            return False  # nothing has been asked yet
        return bool(opinions[2 * tick : 2 * tick + min(5, lookahead_ms // 20)].sum() >= 2)

    def agrees_soon(tick: int) -> bool:
        # Of the frame after this one less is known by now.
        last = 2 * tick + lookahead_ms // 20
        return tick >= 0 and bool(opinions[2 * tick + 2 : min(2 * tick + 7, last)].sum() >= 2)

    gate, quiet, gates = 0.0, np.inf, []
    for tick in range(ticks):
        now = steps[tick, :, 8].max()
        speaks = now >= 0.85 or (now >= 0.5 and agrees(tick - first))
        if soon is not None:
            following = said[tick, soon, :, 8].max()
            speaks |= following >= 0.85 or (following >= 0.5 and agrees_soon(tick - first))
        if speaks or (gate > 0 and now > 0.45):
            quiet, gate = 0.0, 1.0
        else:
            quiet += 40
            gate = max(0.0, gate - 0.5) if quiet > 80 else gate
        gates.append(gate)
    opened = np.array(gates)[:, None]
    certain = np.clip((steps[:, :, 6:8].max(1) - 0.3) / 0.3, 0, 1)
    certain = 3 * certain**2 - 2 * certain**3
    moves = steps[:, :, :6].mean(1)
    moves[:, 0] = certain[:, 0] * steps[:, :, 0].min(1) + (1 - certain[:, 0]) * moves[:, 0]
    moves = np.clip(moves, [0, 0, -0.3, 0, 0, 0], [0.5, 0.35, 0.2, 1, 1, 1])
    free = parts["rest"] + opened * (moves @ parts["map"].T.astype(np.float64))
    closed = opened * certain[:, :1]
    teeth = opened * certain[:, 1:] * (1 - closed)
    drawn = free + teeth * (parts["liptooth"] - free)
    shapes = drawn + closed * (parts["closed"] - drawn)
    return shapes[first:], opened[first:, 0]
