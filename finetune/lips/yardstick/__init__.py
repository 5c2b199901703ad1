"""The yardstick for lips: real clips, voices never heard, sounds that are no speech, the picture.

`evaluation.evaluate` measures everything. Nothing here needs torch, but for measuring a checkpoint
of the network instead of a person.
"""

from __future__ import annotations

__all__: list[str] = []
