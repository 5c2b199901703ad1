"""Operation `cepstra@1`: 16 kHz sound to mel-frequency cepstral coefficients, row by row, causal.

S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word
recognition", 1980. Published systems disagree on everything but the idea, so all of it is a
parameter; `SPEECH_FEATURES`, `SYNCNET` and `DEEPSPEECH` are the choices of three of them.

After n samples exactly n // hop rows have come. Row ``j`` hears the samples from ``hop * (j - m)``
on, ``window`` of them, with m = ceil(window / hop) - 1: windows begin at multiples of the hop, as
in the originals, and end up to a hop before the row comes. So row ``j`` is row j - m of a program
that begins its first window with the first sample. Samples before the start of the stream count as
silence, whose rows are made as those of any other sound. The rows depend on the samples alone, not
on how they were chunked, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.pending import joined

__all__ = ["DEEPSPEECH", "RATE", "SPEECH_FEATURES", "SYNCNET", "TICK", "Cepstra", "CepstraState"]

RATE = 16000
TICK = 640  # samples of a frame of 40 ms
LARGEST = 4.0  # of a sample; what is louder is cut off
MAX_WINDOW = 8192  # samples
MAX_FILTERS = 512

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_NO_ROWS: F32 = np.zeros((0, 0), np.float32)

# The defaults, which are those of the python_speech_features package; coefficient 0, where that
# has the energy, is skipped.
SPEECH_FEATURES: Mapping[str, Any] = {
    "window": 400,  # samples
    "hop": 160,
    "transform": 512,  # samples of the Fourier transform; silence fills up the window
    "taper": "none",  # "none", "hamming" (symmetric) or "hann" (periodic)
    "emphasis": 0.97,  # share of the sample before that is taken off
    "scale": 1.0,  # what samples of full scale +-1 are multiplied by
    "spectrum": "power",  # "power", divided by the transform's length, or "magnitude"
    "filters": 26,
    "low_hz": 0.0,
    "high_hz": 8000.0,
    "mel": "log10",  # 2595 log10(1 + f / 700), or "ln": 1127 ln(1 + f / 700)
    "triangles": "bins",  # straight over "bins" (corners rounded down), "hertz" or "mel"
    "floor": float(np.finfo(np.float64).eps),  # of a filter's sum, before the logarithm
    "skip": 1,  # coefficients left out at the beginning
    "coefficients": 12,  # that follow
    "orthonormal": True,  # the cosine of coefficient 0 is scaled like the others where not
    "lifter": 22.0,  # 0: none
    "energy": False,  # one column more: root of the mean square of the window, untreated
}
# J. S. Chung, A. Zisserman, "Out of time", 2016. Its floor is ours: it has none, and digital
# silence would be infinite. Samples of 16 bits give sums of 1 and more.
SYNCNET: Mapping[str, Any] = {
    **SPEECH_FEATURES,
    "taper": "hamming",
    "scale": 32768.0,
    "spectrum": "magnitude",
    "filters": 13,
    "low_hz": 300.0,
    "high_hz": 3700.0,
    "mel": "ln",
    "triangles": "hertz",
    "floor": 1e-10,
}
# Mozilla DeepSpeech 0.9: TensorFlow's audio_spectrogram and mfcc.
DEEPSPEECH: Mapping[str, Any] = {
    **SPEECH_FEATURES,
    "window": 512,
    "hop": 320,
    "taper": "hann",
    "emphasis": 0.0,
    "spectrum": "magnitude",
    "filters": 40,
    "low_hz": 20.0,
    "mel": "ln",
    "triangles": "mel",
    "floor": 1e-12,
    "skip": 0,
    "coefficients": 26,
    "orthonormal": False,
    "lifter": 0.0,
}
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "taper": ("none", "hamming", "hann"),
    "spectrum": ("power", "magnitude"),
    "mel": ("log10", "ln"),
    "triangles": ("bins", "hertz", "mel"),
    "orthonormal": (True, False),
    "energy": (True, False),
}
_WHOLE: Mapping[str, tuple[int, int]] = {
    "window": (1, MAX_WINDOW),
    "hop": (1, TICK),
    "transform": (2, MAX_WINDOW),
    "filters": (1, MAX_FILTERS),
    "skip": (0, MAX_FILTERS - 1),
    "coefficients": (1, MAX_FILTERS),
}


@dataclass(slots=True)
class CepstraState:
    """What one session carries between calls.

    Attributes:
        pending: f32[n], the samples that the next rows still need, and the one before them.
    """

    pending: F32


class Cepstra:
    """The stage. It holds no state of a session, so one object serves all of them.

    Args:
        params: differences from `SPEECH_FEATURES`, by name.

    Attributes:
        size: F, values in a row. rows: in a tick of 40 ms.

    Raises:
        ValueError: a parameter is not known or senseless.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        p = _checked(dict(params or {}))
        self.params = p
        self.rows = TICK // p["hop"]
        self.size = p["coefficients"] + (1 if p["energy"] else 0)
        self._window, self._hop, self._transform = p["window"], p["hop"], p["transform"]
        self._before = (-(-self._window // self._hop) - 1) * self._hop
        self._taper = _taper(p)
        self._bank = np.ascontiguousarray(_triangles(p).T)
        self._cosines = np.ascontiguousarray(_cosines(p).T)

    def initial_state(self) -> CepstraState:
        """The state of a session that has heard nothing."""
        return CepstraState(np.zeros(self._before + 1, np.float32))

    def step(self, state: CepstraState, pcm: F32) -> F32:
        """Takes the next samples and gives the rows that they complete.

        Args:
            state: of this session; changed in place.
            pcm: f32[n], mono, 16 kHz, full scale +-1; any n >= 0. Values that are not finite count
                as silence.

        Returns:
            f32[m, F]; m may be 0.
        """
        return self.step_many([state], [pcm])[0]

    def step_many(self, states: Sequence[CepstraState], pcm: Sequence[F32]) -> list[F32]:
        """As `step`, for N sessions at once, to the last bit; cheaper than one by one.

        Either all states change or, where an exception is raised, none.
        """
        given = [np.asarray(samples, np.float32) for samples in pcm]
        ready = []
        for group, whole in joined([state.pending for state in states], given):
            if not np.isfinite(whole).all():
                whole = np.nan_to_num(whole, nan=0.0, posinf=0.0, neginf=0.0)
            whole = np.clip(whole, -LARGEST, LARGEST)
            ready.append((group, whole, self._rows(whole)))
        rows: list[F32] = [_NO_ROWS] * len(given)
        for group, whole, out in ready:
            for place, index in enumerate(group):
                # A copy: a view would keep the whole batch alive.
                states[index].pending = whole[place, out.shape[1] * self._hop :].copy()
                rows[index] = out[place]
        return rows

    def _rows(self, samples: F32) -> F32:
        """Return f32[N, m, F] of f32[N, n], the first of which is only there for the emphasis."""
        count = len(samples)
        rows = max(0, (samples.shape[1] - 1 - self._before) // self._hop)
        out = np.empty((count, rows, self.size), np.float32)
        if not rows:
            return out
        x = samples.astype(np.float64) * self.params["scale"]
        emphasised = x[:, 1:] - self.params["emphasis"] * x[:, :-1]
        spectrum = np.fft.rfft(self._framed(emphasised, rows) * self._taper, self._transform)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        if self.params["spectrum"] == "power":
            power /= self._transform
        else:
            power = np.sqrt(power)
        # One product per row: a product of all rows would round differently with their number.
        sums = np.matmul(power.reshape(count * rows, 1, -1), self._bank)
        cepstra = np.matmul(np.log(np.maximum(sums, self.params["floor"])), self._cosines)
        out[:, :, : self.params["coefficients"]] = cepstra.reshape(count, rows, -1)
        if self.params["energy"]:
            untreated = self._framed(samples[:, 1:].astype(np.float64), rows)
            out[:, :, -1] = np.sqrt(np.square(untreated).mean(2))
        return out

    def _framed(self, samples: F64, rows: int) -> F64:
        framed = np.lib.stride_tricks.sliding_window_view(samples, self._window, axis=1)
        return framed[:, :: self._hop][:, :rows]


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters.

    Raises:
        ValueError: see `Cepstra`.
    """
    unknown = sorted(given.keys() - SPEECH_FEATURES.keys())
    if unknown:
        raise ValueError(f"cepstra@1 has no parameter {', '.join(unknown)}.")
    p = {**SPEECH_FEATURES, **given}
    for name, choices in _CHOICES.items():
        if not any(p[name] is choice or p[name] == choice for choice in choices):
            raise ValueError(f"cepstra@1: {name} is one of {list(choices)}, not {p[name]!r}.")
    for name, value in p.items():
        if name in _CHOICES:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            raise ValueError(f"cepstra@1: {name} is a number, not {value!r}.")
    for name, (least, most) in _WHOLE.items():
        if p[name] != int(p[name]) or not least <= p[name] <= most:
            raise ValueError(f"cepstra@1: {name} is a whole number from {least} to {most}.")
        p[name] = int(p[name])
    if TICK % p["hop"]:
        raise ValueError(f"cepstra@1: {p['hop']} samples of a hop do not divide a frame's {TICK}.")
    if p["window"] > p["transform"]:
        raise ValueError("cepstra@1: the window is longer than its transform.")
    if p["skip"] + p["coefficients"] > p["filters"]:
        raise ValueError("cepstra@1: there are as many coefficients as filters, not more.")
    if not 0.0 <= p["low_hz"] < p["high_hz"] <= RATE / 2:
        raise ValueError("cepstra@1: low_hz lies below high_hz, and that not above 8000.")
    if p["floor"] <= 0.0 or p["scale"] <= 0.0:
        raise ValueError("cepstra@1: floor and scale are above 0.")
    return p


def _taper(p: Mapping[str, Any]) -> F64:
    """What a window is multiplied by, f64[window]."""
    if p["taper"] == "hamming":
        return np.asarray(np.hamming(p["window"]), np.float64)
    if p["taper"] == "hann":
        return np.asarray(np.hanning(p["window"] + 1)[:-1], np.float64)
    return np.ones(p["window"])


def _triangles(p: Mapping[str, Any]) -> F64:
    """Filters of height 1, their corners at equal steps of mel, f64[filters, transform / 2 + 1]."""
    bins = np.arange(p["transform"] // 2 + 1, dtype=np.float64)
    hertz = bins * RATE / p["transform"]
    low, high = _mel(np.array([p["low_hz"], p["high_hz"]]), p)
    corners = np.linspace(low, high, p["filters"] + 2)
    if p["triangles"] == "mel":
        # TensorFlow rounds the begin of the band up to bins as here.
        heard = bins >= int(1.5 + p["low_hz"] * p["transform"] / RATE)
        return _between(_mel(hertz, p), corners) * heard
    corners = _hertz(corners, p)
    if p["triangles"] == "hertz":
        return _between(hertz, corners)
    return _between(bins, np.floor((p["transform"] + 1) * corners / RATE))


def _between(at: F64, corners: F64) -> F64:
    """Triangles f64[K, len(at)] over corners f64[K + 2]; equal corners make a vertical edge."""
    left, middle, right = (corners[i : len(corners) - 2 + i, None] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.where((at >= left) & (at < middle), (at - left) / (middle - left), 0.0)
        fall = np.where((at >= middle) & (at < right), (right - at) / (right - middle), 0.0)
    return np.asarray(rise + fall, np.float64)


def _mel(hertz: F64, p: Mapping[str, Any]) -> F64:
    if p["mel"] == "ln":
        return np.asarray(1127.0 * np.log1p(hertz / 700.0), np.float64)
    return np.asarray(2595.0 * np.log10(1.0 + hertz / 700.0), np.float64)


def _hertz(mel: F64, p: Mapping[str, Any]) -> F64:
    if p["mel"] == "ln":
        return np.asarray(700.0 * np.expm1(mel / 1127.0), np.float64)
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0), np.float64)


def _cosines(p: Mapping[str, Any]) -> F64:
    """Discrete cosine transform (type II) and lifter of the coefficients that are kept."""
    filters = p["filters"]
    k, m = np.ogrid[p["skip"] : p["skip"] + p["coefficients"], :filters]
    matrix = np.cos(np.pi * k * (2 * m + 1) / (2 * filters)) * np.sqrt(2.0 / filters)
    if p["orthonormal"] and p["skip"] == 0:
        matrix[0] /= np.sqrt(2.0)
    if p["lifter"] > 0.0:
        matrix = matrix * (1.0 + p["lifter"] / 2.0 * np.sin(np.pi * k / p["lifter"]))
    return np.asarray(matrix, np.float64)
