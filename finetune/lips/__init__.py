"""The lips: training the motion network, fitting it to a person, measuring it."""

from __future__ import annotations

__all__: list[str] = []
