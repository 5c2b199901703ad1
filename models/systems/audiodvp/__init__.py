"""X. Wen, M. Wang, C. Richardt, Z.-Y. Chen, S.-M. Hu, "Photorealistic audio-driven video
portraits", IEEE TVCG 2020."""

from __future__ import annotations

__all__: list[str] = []
