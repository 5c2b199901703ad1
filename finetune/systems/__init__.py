"""Published systems trained in small on a person of ours, in their own file formats.

What comes out is read by `visavis import` like any published checkpoint; so it is a test of import
with a person who really talks, where no published checkpoint is at hand.
"""

from __future__ import annotations

__all__: list[str] = []
