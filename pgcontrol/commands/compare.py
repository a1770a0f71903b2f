"""Run what a YAML of arms and seeds still misses, and write its report."""

import shlex
from dataclasses import dataclass

from pgcontrol.arguments import CompareOptions
from pgcontrol.commands.report import show
from pgcontrol.options import option


@dataclass(frozen=True)
class Options(CompareOptions):
    """The sweep, and how it is shown."""

    open: bool | None = option(None, "show the report in the browser when all is done, or not [given a display]")
    quiet: bool = option(False, "print nothing but errors")


def run(options: Options) -> int:
    """Make the missing trials, and run the missing cells."""
    from pgcontrol.machine.graphics import has_display
    from pgcontrol.machine.signals import STOPPED, like_ctrl_c
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.reporting import compare, tables

    try:
        with like_ctrl_c():
            found = compare.compare(options)
    except KeyboardInterrupt:
        flags = ("on", "cores", "jobs", "runs", "search_only", "clips", "open")
        print(f"stopped; to go on: {_typed('compare', options, *flags)}")
        print(f"a report of what there is: {_typed('report', options, 'runs', 'clips')}")
        return STOPPED
    if not (options.dry_run or options.cancel or options.quiet):
        if found.queries.rows:
            Terminal(highlight=False).print(tables.terminal(found.queries))
        show(found, has_display() if options.open is None else options.open)
    return found.exit_code


def _typed(command: str, options: Options, *flags: str) -> str:
    """A command on the same sweep, with those of the flags that differ from their defaults."""
    words = ["pgcontrol", command, str(options.sweep)]
    for flag in flags:
        value, name = getattr(options, flag), flag.replace("_", "-")
        if value == getattr(Options, flag):
            continue
        words += [f"--{name}" if value else f"--no-{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    return shlex.join(words)
