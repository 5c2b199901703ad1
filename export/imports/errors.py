"""What stands in the way of an import."""

from __future__ import annotations

from visavis.engines.errors import VisavisError

__all__ = ["ImportRefused"]


class ImportRefused(VisavisError):
    """A checkpoint, a picture or an option of an import cannot be used; nothing was written."""
