"""What runs the parts of each published system."""

from __future__ import annotations

from collections.abc import Mapping

from visavis.export.parity import audiodvp, davs, headpose, rhythmic, style_avatar
from visavis.export.parity.runner import Part

__all__ = ["SYSTEMS"]

SYSTEMS: Mapping[str, Mapping[str, Part]] = {
    "davs": davs.PARTS,
    "headpose": headpose.PARTS,
    "audiodvp": audiodvp.PARTS,
    "style_avatar": style_avatar.PARTS,
    "rhythmic": rhythmic.PARTS,
}
