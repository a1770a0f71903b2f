"""Versions, threads and graphics, and how to repair what is missing."""

from pgcontrol.options import NoOptions


def run(options: NoOptions) -> int:
    """Print the findings."""
    from pgcontrol.machine import doctor
    from pgcontrol.machine.terminal import Terminal

    return doctor.show(doctor.report(), Terminal(highlight=False))
