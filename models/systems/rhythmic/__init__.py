"""L. Chen, G. Cui, C. Liu, Z. Li, Z. Kou, Y. Xu, C. Xu, "Talking-head generation with rhythmic head
motion", ECCV 2020."""

from __future__ import annotations

__all__: list[str] = []
