"""What sampled faces say: is there one, large, lit and not covered, and does its mouth move.

Thresholds are in the distance of the outer eye corners, or in levels of luma and chroma. They were
set on ten real clips and the presenter, as they are and with hands, microphones and masks drawn
over their mouths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.check.findings import Finding, listed
from visavis.finetune.check.look import Sample, eye_distance
from visavis.finetune.check.plan import CROP, Plan
from visavis.finetune.check.wearing import bearded, wearing_findings
from visavis.finetune.geometry import EYE_LEFT, EYE_RIGHT, LIP_LOWER, LIP_UPPER, head_frame

__all__ = ["covered", "face_findings", "opening", "yaw"]

F64 = NDArray[np.float64]

_LEAST_EYES, _GOOD_EYES = 60.0, 105.0  # pixels, of the usual crop
_MISSING, _SECOND = 0.2, 0.1  # of the pictures
_A_FEW = 3  # pictures
_TURNED = 30.0  # degrees
_TURNED_SHARE = 0.02
_OUTSIDE_SHARE = 0.02
# Pairs of points left and right of the face's middle: outer and inner eye corners, temples.
_PAIRS = ((EYE_LEFT, EYE_RIGHT), (362, 133), (356, 127))
_OPENS, _CLOSES = 0.08, 0.04  # of real mouths 95 % are opened beyond .12 and some shut below .02
_LEAST_OPEN_SAMPLES, _LEAST_CLOSED_SAMPLES = 12, 30
_DARK, _DARK_PICTURE = 80.0, 60.0  # levels that 95 % stay under
_BRIGHT, _BRIGHT_SHARE = 230, 0.05
_BLURRED = 0.40  # real eyes .44 to .71; blurred by 1.5 of 128 pixels .33 to .38
# A mouth that is not covered differs from its usual colours by 9 more than the upper face does, at
# most, one with a hand before it by 14 and more, with a microphone by 16.
_COVERED = 14.0
# Chroma of the lower face away from the upper: without a mask 20, with one 40 and more.
_MASKED = 32.0


def yaw(face: NDArray[np.floating]) -> float:
    """Return how far a head float[468, 3] is turned aside, in degrees."""
    across = sum(face[left].astype(np.float64) - face[right] for left, right in _PAIRS)
    return float(np.degrees(np.arctan2(across[2], across[0])))


def opening(face: NDArray[np.floating]) -> float:
    """Return the gap between the lips of float[468, 3], in eye distances."""
    gap = face[LIP_UPPER].astype(np.float64) - face[LIP_LOWER]
    return float(np.linalg.norm(gap)) / eye_distance(np.asarray(face, np.float32))


def face_findings(samples: Sequence[Sample], plan: Plan | None, crop: int = CROP) -> list[Finding]:
    """Return everything that the sampled pictures show.

    Args:
        samples: in their order, one at least.
        plan: made from them; None where no face was found.
        crop: pixels of the renderer's crop.
    """
    seen = [sample for sample in samples if sample.faces]
    if plan is None or not seen:
        return [*_lit(samples), _no_face(len(samples))]
    lit = _lit(seen)
    return [
        *_missing(samples),
        *_several(samples),
        *_size(plan, crop),
        *_inside(seen, plan),
        *_turned(seen),
        *_mouth(seen),
        # Without light there are no colours to compare.
        *(lit or _cover(seen)),
        *_sharp(seen),
        *wearing_findings([s.bridge for s in seen], _colours(seen)),
    ]


def _no_face(looked: int) -> Finding:
    return Finding(
        "no-face",
        "refused",
        f"No face was found in any of {looked} pictures; it must look into the camera, in good "
        f"light, with its eyes at least {_LEAST_EYES:.0f} pixels apart.",
    )


def _missing(samples: Sequence[Sample]) -> list[Finding]:
    times = [sample.time for sample in samples if not sample.faces]
    if not times:
        return []
    refused = len(times) > _MISSING * len(samples)
    return [
        Finding(
            "face-missing",
            "refused" if refused else "warning",
            f"No face was found in {len(times)} of {len(samples)} pictures, at {listed(times)}; "
            "cut these parts out.",
        )
    ]


def _several(samples: Sequence[Sample]) -> list[Finding]:
    times = [sample.time for sample in samples if len(sample.faces) > 1]
    if len(times) < _A_FEW:
        return []
    refused = len(times) > _SECOND * len(samples)
    return [
        Finding(
            "several-faces",
            "refused" if refused else "warning",
            f"There is a second face in {len(times)} of {len(samples)} pictures, at "
            f"{listed(times)}; crop or cut the video so that one face is in it.",
        )
    ]


def _size(plan: Plan, crop: int) -> list[Finding]:
    eyes = plan.eyes / plan.scale
    least, good = (of * crop / CROP for of in (_LEAST_EYES, _GOOD_EYES))
    tier, instead = "", "come nearer, or record larger pictures"
    if crop > CROP:
        tier = f" for a crop of {crop}"
        instead = f"come nearer, record larger pictures, or take a crop of {CROP}"
    if eyes < least:
        return [
            Finding(
                "small-face",
                "refused",
                f"The eyes are {eyes:.0f} pixels apart; {least:.0f} are needed and {good:.0f} are "
                f"good{tier}: {instead}.",
            )
        ]
    if eyes < good:
        return [
            Finding(
                "small-face",
                "warning",
                f"The eyes are {eyes:.0f} pixels apart, so the face is enlarged "
                f"{plan.scale:.2f} times and stays soft; {good:.0f} are good{tier}: {instead}.",
            )
        ]
    return []


def _inside(seen: Sequence[Sample], plan: Plan) -> list[Finding]:
    low, high = (plan.left, plan.top), (plan.right, plan.bottom)
    times = []
    for sample in seen:
        points = sample.faces[0][:, :2]
        if (points < low).any() or (points > high).any():
            times.append(sample.time)
    if len(times) <= _OUTSIDE_SHARE * len(seen):
        return []
    view = plan.view
    return [
        Finding(
            "leaves",
            "warning",
            f"In {len(times)} of {len(seen)} pictures, at {listed(times)}, the face is not all in "
            f"the {view.out_width} x {view.out_height} pixels that are used; keep the head where "
            "it is, with room around it.",
        )
    ]


def _turned(seen: Sequence[Sample]) -> list[Finding]:
    angles = np.abs([yaw(sample.faces[0]) for sample in seen])
    share = float((angles > _TURNED).mean())
    if share <= _TURNED_SHARE:
        return []
    return [
        Finding(
            "turned",
            "warning",
            f"In {100 * share:.0f} % of the pictures the head is turned by more than "
            f"{_TURNED:.0f} degrees, up to {angles.max():.0f}; look into the camera.",
        )
    ]


def _mouth(seen: Sequence[Sample]) -> list[Finding]:
    gaps = np.array([opening(sample.faces[0]) for sample in seen])
    widest = float(np.percentile(gaps, 95))
    if len(seen) >= _LEAST_OPEN_SAMPLES and widest < _OPENS:
        return [
            Finding(
                "mouth-shut",
                "warning",
                f"The mouth opens by {widest:.2f} eye distances, where speech opens it by 0.12 and "
                "more: speak, and show teeth and wide vowels.",
            )
        ]
    if len(seen) >= _LEAST_CLOSED_SAMPLES and gaps.min() > _CLOSES:
        return [
            Finding(
                "mouth-open",
                "warning",
                f"The lips are closed in none of {len(seen)} pictures, the smallest gap is "
                f"{gaps.min():.2f} eye distances: close the mouth in pauses.",
            )
        ]
    return []


def covered(seen: Sequence[Sample]) -> tuple[F64, float]:
    """Return how much each lower face differs from how it usually looks, and how odd that is.

    Colours are taken at the points of the mesh, so they stay with the head as it moves. Luma counts
    from that of the upper face, so light that changes for all of it does not count.

    Returns:
        float64[N], levels beyond those of the upper face: something is before the mouth; and the
        usual difference of chroma between lower and upper face: something is before it always.
    """
    shape = head_frame(np.median([sample.faces[0] for sample in seen], axis=0).astype(np.float64))
    x, y = np.abs(shape[:, 0]), shape[:, 1]
    lower = (y > 0.62) & (y < 1.15) & (x < 0.36)
    eyes = np.hypot(x - 0.34, y) < 0.22
    upper = (y > -0.3) & (y < 0.45) & (x < 0.5) & ~eyes
    colours = np.array([sample.colours for sample in seen], np.float64)
    colours[:, :, 0] -= np.median(colours[:, upper, 0], axis=1, keepdims=True)
    usual = np.median(colours, axis=0)
    # Chroma spans less than luma, and changes less with light.
    apart = np.abs(colours - usual) * (1.0, 2.0, 2.0)
    excess = (np.median(apart[:, lower], axis=1) - np.median(apart[:, upper], axis=1)).sum(axis=1)
    chroma = np.median(usual[lower, 1:], axis=0) - np.median(usual[upper, 1:], axis=0)
    return excess, float(np.abs(chroma).sum())


def _colours(seen: Sequence[Sample]) -> list[NDArray[np.uint8]]:
    return [sample.colours for sample in seen if sample.colours is not None]


def _cover(seen: Sequence[Sample]) -> list[Finding]:
    excess, odd = covered(seen)
    times = [s.time for s, e in zip(seen, excess, strict=True) if e > _COVERED]
    found = []
    if times:
        found.append(
            Finding(
                "covered",
                "warning",
                f"Something seems to be before the mouth in {len(times)} of {len(seen)} pictures, "
                f"at {listed(times)}; cut out where a hand or a microphone covers it.",
            )
        )
    if odd > _MASKED and not bearded(_colours(seen)):
        found.append(
            Finding(
                "masked",
                "warning",
                "The lower half of the face has another colour than the upper one all the time, "
                f"{odd:.0f} levels of chroma away: take off what covers it.",
            )
        )
    return found


def _lit(samples: Sequence[Sample]) -> list[Finding]:
    faces = [sample.colours[:, 0] for sample in samples if sample.colours is not None]
    if not faces:
        level = float(np.median([sample.brightest for sample in samples]))
        return [_dark(level)] if level < _DARK_PICTURE else []
    luma = np.array(faces)
    level, bright = float(np.percentile(luma, 95)), float((luma >= _BRIGHT).mean())
    if level < _DARK:
        return [_dark(level)]
    if bright > _BRIGHT_SHARE:
        return [
            Finding(
                "overexposed",
                "warning",
                f"{100 * bright:.0f} % of the face is white without detail; use softer light or a "
                "shorter exposure.",
            )
        ]
    return []


def _dark(level: float) -> Finding:
    return Finding(
        "dark",
        "warning",
        f"The brightest of it reaches {level:.0f} of 235 levels, which is dark; put more light "
        "on the face.",
    )


def _sharp(seen: Sequence[Sample]) -> list[Finding]:
    value = float(np.median([sample.sharpness for sample in seen]))
    if not value < _BLURRED:
        return []
    return [
        Finding(
            "blurred",
            "warning",
            f"The eyes have {value:.2f} of fine detail, where sharp ones have 0.44 and more; focus "
            "the camera on them.",
        )
    ]
