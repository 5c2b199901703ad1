"""The person's matte: how much of each pixel of the person's own frames is the person."""

from __future__ import annotations
