"""visavis: a real-time avatar server.

Someone speaks into a browser; a person they have the right to show speaks with their voice.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["__version__"]

__version__ = "0.1.0"

# The rooms are symbolic links to the folders at the repository's root. Where git could not make
# them (Windows, some shared drives), it leaves small text files, and every import would fail oddly.
if (Path(__file__).parent / "engines").is_file():
    raise ImportError(
        "This clone of visavis has no symbolic links: run `git config core.symlinks true` and "
        "`git checkout -f -- src` on a file system that has them, or install the wheel."
    )
