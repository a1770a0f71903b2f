"""Versions, threads and graphics, or the files of a run, and how to repair what is wrong."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import option


@dataclass(frozen=True)
class Options:
    """What to look at."""

    run: Path | None = option(None, "run folder to examine in place of this machine", positional=True)


def run(options: Options) -> int:
    """Print the findings."""
    from pgcontrol.machine import doctor
    from pgcontrol.machine.terminal import Terminal

    if options.run is None:
        checks = doctor.report()
    else:
        from pgcontrol.diagnosis.folder import examine

        checks = examine(options.run)
    return doctor.show(checks, Terminal(highlight=False))
