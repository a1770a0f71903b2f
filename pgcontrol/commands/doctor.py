"""Versions, threads and graphics, and how to mend what is missing."""

from __future__ import annotations

from argparse import Namespace


def run(given: Namespace) -> int:
    """Print the findings."""
    from pgcontrol.machine.doctor import main as doctor

    return doctor()
