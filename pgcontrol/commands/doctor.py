"""Versions, threads and graphics, and how to repair what is missing."""

from __future__ import annotations

from pgcontrol.options import NoOptions


def run(options: NoOptions) -> int:
    """Print the findings."""
    from pgcontrol.machine.doctor import main as doctor

    return doctor()
