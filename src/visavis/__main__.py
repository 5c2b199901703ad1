"""``python -m visavis`` is the ``visavis`` command."""

from __future__ import annotations

import sys

from visavis.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
