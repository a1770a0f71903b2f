"""Tasks, heads, algorithms and critics there are."""

from __future__ import annotations

from argparse import Namespace


def run(given: Namespace) -> int:
    """Print the catalogue."""
    from pgcontrol.view.listing import print_catalog

    return print_catalog()
