"""The hash of a file that a person is made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

from visavis.engines.errors import ConfigError

__all__ = ["sha256_of"]


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hex.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}."
        ) from error
