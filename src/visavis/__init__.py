"""visavis: a real-time avatar server.

Someone speaks into a browser; a person they have the right to show speaks with their voice.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
