"""Versions, threads and graphics, and how to repair what is missing."""

from pgcontrol.options import NoOptions


def run(options: NoOptions) -> int:
    """Print the findings."""
    from rich.console import Console

    from pgcontrol.machine import doctor

    return doctor.show(doctor.report(), Console(highlight=False))
