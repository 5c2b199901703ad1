"""The networks of `davs`, a face from one picture and a voice or another's mouth.

H. Zhou, Y. Liu, Z. Liu, P. Luo, X. Wang, "Talking face generation by adversarially disentangled
audio-visual representation", AAAI 2019 (arXiv 1807.07860). 256 pixels square, red, green, blue from
0 to 1, frames are independent of each other.
"""

from __future__ import annotations

__all__ = ["FEATURE", "FROM_SOUND", "FROM_VIDEO", "channels"]

FEATURE = 256  # numbers of a mouth feature in the published networks

# What a mouth feature is multiplied by before it is decoded.
FROM_SOUND = 1.5
FROM_VIDEO = 0.8


def channels(published: int, feature: int) -> int:
    """Return a width of networks whose mouth feature has `feature` numbers: all go with it.

    Args:
        published: the width where a mouth feature has `FEATURE` numbers.
        feature: a multiple of 8.
    """
    return published * feature // FEATURE
