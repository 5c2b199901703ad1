"""Options and output that the benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from visavis.cli.options import print_json

__all__ = ["count", "print_result", "seconds"]


def seconds(text: str) -> float:
    """A positive number, for argparse."""
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a length of time")
    return value


def count(text: str) -> int:
    """A positive whole number, for argparse."""
    value = int(text)
    if not 0 < value <= 4096:
        raise argparse.ArgumentTypeError(f"{text} is not a number of them")
    return value


def print_result(args: argparse.Namespace, result: Mapping[str, Any], text: str) -> None:
    """Print a result as JSON where that was asked for, else its table."""
    if args.json:
        print_json(result)
    else:
        print(text)
