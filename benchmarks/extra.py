"""What benchmarks need beyond the product."""

from __future__ import annotations

from importlib.util import find_spec

from visavis.engines.errors import ConfigError

__all__ = ["require_extra"]


def require_extra(benchmark: str, *packages: str) -> None:
    """Refuse to begin without them.

    Raises:
        ConfigError: one of the packages is missing.
    """
    if any(find_spec(package) is None for package in packages):
        raise ConfigError(
            f"The benchmark {benchmark} needs the [bench] extra: pip install 'visavis[bench]'."
        )
