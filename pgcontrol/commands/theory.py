"""Check the theory's claims by numbers, and plot them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def arguments(parser: ArgumentParser) -> None:
    """Where plots go."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the plots go [none are drawn]")


def run(given: Namespace) -> int:
    """Check and plot."""
    from pgcontrol.theory.show import show

    return show(given.out)
