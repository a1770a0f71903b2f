"""Run the missing runs of a sweep (a YAML file), and write its report."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgcontrol.arguments import CompareOptions
from pgcontrol.commands.report import show
from pgcontrol.options import option

if TYPE_CHECKING:
    from pgcontrol.reporting.compare import Comparison


@dataclass(frozen=True)
class Options(CompareOptions):
    """The sweep, and the display of its report."""

    open: bool | None = option(None, "open the report in the browser at the end [if there is a display]")
    quiet: bool = option(False, "print only errors")


def run(options: Options) -> int:
    """Run the missing trials and cells."""
    from pgcontrol.machine.graphics import has_display
    from pgcontrol.machine.signals import STOPPED, like_ctrl_c
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.reporting import tables

    try:
        with like_ctrl_c():
            found = _compared(options)
    except KeyboardInterrupt:
        if options.dry_run or options.cancel:  # nothing has begun that could be continued
            raise
        flags = ("on", "cores", "jobs", "runs", "search_only", "clips", "open", "dirty")
        print(f"stopped; to continue: {_typed('compare', options, *flags)}")
        print(f"to report the finished runs: {_typed('report', options, 'runs', 'clips')}")
        return STOPPED
    if not (options.dry_run or options.cancel or options.quiet):
        if found.queries.rows:
            Terminal(highlight=False).print(tables.terminal(found.queries))
        show(found, has_display() if options.open is None else options.open)
    return found.exit_code


def _compared(options: Options) -> "Comparison":
    """Compare; a dry run also works where the sweep's engine is not available, before one logs in to the cluster."""
    from pgcontrol.machine.engines import Unavailable
    from pgcontrol.reporting import compare

    try:
        return compare.compare(options)
    except Unavailable as error:
        if not options.dry_run:
            raise
        print(f"{error}; this counts the runs as on this machine")
        return compare.compare(replace(options, on="local"))


def _typed(command: str, options: Options, *flags: str) -> str:
    """A command for the same sweep, with the given flags if they differ from their defaults."""
    from pgcontrol import parts

    words = [command, str(options.sweep)]
    for flag in flags:
        value, name = getattr(options, flag), flag.replace("_", "-")
        if value == getattr(Options, flag):
            continue
        words += [f"--{name}" if value else f"--no-{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    return parts.command(*words)
