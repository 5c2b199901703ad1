"""The networks and formulas of `headpose`, a face of a known person with a pose of its own.

R. Yi, Z. Ye, J. Zhang, H. Bao, Y.-J. Liu, "Audio-driven talking face video generation with
learning-based personalized head pose", 2020 (arXiv 2002.10137): sound to expression and pose, a
drawn Basel face, a generator that makes it look real and knows the person by a remembered feature.
"""

from __future__ import annotations

__all__: list[str] = []
