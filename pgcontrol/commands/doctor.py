"""Check versions, threads and graphics, or the files of a run, and show how to fix problems."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import option


@dataclass(frozen=True)
class Options:
    """What to check."""

    run: Path | None = option(None, "check this run folder instead of the machine", positional=True)


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
