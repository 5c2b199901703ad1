"""Whether somebody wears glasses or a beard: notes, for both are learnt and shown as filmed.

Glasses show by their bridge, a thin dark line across the nose between the eyes (the first cue of
Z. Jing and R. Mariani, "Glasses detection and extraction by deformable contour", ICPR 2000): the
rims themselves are easily mistaken for lids, lashes and bags under the eyes. A dark beard
shows by its colour: moustache and chin have less light than the cheeks, and less chroma than the
lips between them, which a shadow would have dulled as well.
Thresholds lie between what was measured with and without; docs/finetune.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.check.findings import Finding
from visavis.finetune.geometry import EYE_LEFT, EYE_RIGHT, TRACKED

__all__ = ["beard", "bearded", "bridge_line", "wearing_findings"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

_EYES = 64.0  # pixels between the outer eye corners where the line is looked for
_LINE = 7  # pixels; what is not thinner is no line: brows that meet are as thick
_REACH = 0.3  # to both sides of the nose's middle, of the distance of the inner eye corners
_ABOVE, _BELOW = 12, 10  # pixels from the inner eye corners
_MARGIN = 8  # pixels around, for what is beside the line
_INNER = (133, 362)  # eye corners
_GLASSES = 0.068  # with .099 (thin rims, filmed), without .048 at most
_BLACK = 16.0  # level of black
_LEAST_SPAN = 20.0  # levels: shares of less are noise

# Vertices of MediaPipe's mesh: over the lip, on the chin, on the red of the lips, on the cheeks.
_MOUSTACHE = (164, 167, 393, 165, 391)
_CHIN = (18, 200, 199, 83, 313, 201, 421, 194, 418, 182, 406)
_LIPS = (0, 37, 267, 17, 84, 314)
_CHEEKS = (50, 280, 101, 330, 118, 347, 36, 266, 117, 346)
_LEAST_CHROMA = 10.0  # levels of V over U on the cheeks: of a grey picture nothing can be told
# Of the cheeks' light and of the lips' chroma: beards that are drawn .60 and .58 and less, without
# .78 and .76 at least. (A moustache with a goatee on dark skin has .73 and .99: not noted.)
_DARKER, _GREYER = 0.70, 0.60
# Of the cheeks' chroma: lips .69 and more; a mask or a microphone covers them.
_LIPS_SHOW = 0.5

_LEAST_SAMPLES = 5


def bridge_line(luma: F32, face: NDArray[np.floating]) -> float:
    """Return how dark a thin line crosses the nose between the eyes.

    Args:
        luma: float32[H, W], levels, of a picture of the eyes or of more.
        face: float[468, 3], in its pixels.

    Returns:
        share of the light beside the line, which three of four columns of the nose exceed.
    """
    points = face[:, :2].astype(np.float64)
    across = points[EYE_LEFT] - points[EYE_RIGHT]
    unit = across / max(float(np.hypot(*across)), 1e-6)
    # In space, so that a head that is turned keeps its size.
    step = float(np.linalg.norm(face[EYE_LEFT] - face[EYE_RIGHT])) / _EYES
    inner = points[list(_INNER)]
    reach = max(2, round(_REACH * float(np.hypot(*(inner[1] - inner[0]))) / max(step, 1e-6)))
    down, right = np.mgrid[-_ABOVE - _MARGIN : _BELOW + _MARGIN + 1, -reach - 2 : reach + 3] * step
    x, y = inner.mean(axis=0)
    soft = ndimage.gaussian_filter(luma, 0.5 * np.sqrt(max(step * step - 1.0, 0.0)))
    where = [y + right * unit[1] + down * unit[0] - 0.5, x + right * unit[0] - down * unit[1] - 0.5]
    nose = ndimage.map_coordinates(soft, where, order=1, mode="nearest")
    nose = ndimage.gaussian_filter1d(nose, 1.0, axis=1)
    beside = ndimage.grey_closing(nose, (_LINE, 1))
    line = (beside - nose) / np.maximum(beside - _BLACK, _LEAST_SPAN)
    # Each column on its own: a bridge is an arch.
    return float(np.percentile(line[_MARGIN:-_MARGIN, 2:-2].max(axis=0), 25))


def beard(colours: Sequence[U8]) -> tuple[float, float, float]:
    """Return how dark and how grey skin is where a beard grows, and how red the lips are.

    Args:
        colours: uint8[468, 3] each, Y, U and V at the points of a face.

    Returns:
        luma of moustache and chin over that of the cheeks, and their chroma over that of the lips,
        of the two the one that is less like a beard; chroma of the lips over that of the cheeks.
        Medians of the pictures; not numbers where the cheeks have no colour or pictures are few.
    """
    values = np.array(colours, np.float64).reshape(len(colours), TRACKED, 3)
    luma, chroma = values[:, :, 0] - _BLACK, values[:, :, 2] - values[:, :, 1]
    cheeks = list(_CHEEKS)
    light = np.median(luma[:, cheeks], axis=1)
    colour = np.median(chroma[:, cheeks], axis=1)
    known = (light > _LEAST_SPAN) & (colour > _LEAST_CHROMA)
    if known.sum() < _LEAST_SAMPLES:
        return float("nan"), float("nan"), float("nan")

    def share(of: F64, part: Sequence[int], whole: F64) -> F64:
        shares: F64 = np.median(of[:, list(part)], axis=1)[known] / whole[known]
        return shares

    red = np.maximum(np.median(chroma[:, list(_LIPS)], axis=1), 1.0)
    dark = (share(luma, part, light) for part in (_MOUSTACHE, _CHIN))
    grey = (share(chroma, part, red) for part in (_MOUSTACHE, _CHIN))
    return (
        max(float(np.median(one)) for one in dark),
        max(float(np.median(one)) for one in grey),
        float(np.median(share(chroma, _LIPS, colour))),
    )


def bearded(colours: Sequence[U8]) -> bool:
    """Return whether somebody has a dark beard around the mouth, moustache and chin."""
    dark, grey, lips = beard(colours)
    return dark < _DARKER and grey < _GREYER and lips > _LIPS_SHOW


def wearing_findings(bridges: Sequence[float], colours: Sequence[U8]) -> list[Finding]:
    """Return a note each about glasses and a beard.

    Args:
        bridges: `bridge_line` of every sample with a face; not a number where it is not known.
        colours: uint8[468, 3] each, of the same samples.
    """
    found = []
    lines = np.array([line for line in bridges if np.isfinite(line)])
    if len(lines) >= _LEAST_SAMPLES and np.median(lines) > _GLASSES:
        found.append(
            Finding(
                "glasses",
                "note",
                f"There seem to be glasses, a dark line over the nose in {(lines > _GLASSES).sum()}"
                f" of {len(lines)} pictures: rims and reflections stay as filmed around the eyes, "
                "and rims that reach down to the cheeks may shimmer.",
            )
        )
    if bearded(colours):
        dark, _, _ = beard(colours)
        found.append(
            Finding(
                "beard",
                "note",
                f"There seems to be a dark beard, moustache and chin have {100 * dark:.0f} % or "
                "less of the cheeks' light: it hides jaw and lips from the tracker; where it is "
                "trimmed off the lips, they are followed better.",
            )
        )
    return found
