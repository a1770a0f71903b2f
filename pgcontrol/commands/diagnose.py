"""Say what went wrong in a run: σ collapse, averaging, lost modes, a destroyed policy; with evidence."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import whole

SETTINGS = True


def arguments(parser: ArgumentParser) -> None:
    """The run, and the experiments it is worth."""
    parser.usage = "pgcontrol diagnose RUN [--branches N] [--against RUN] [--LIMIT VALUE ...]"
    parser.add_argument("run", type=Path, nargs="?", help="run folder")
    parser.add_argument(
        "--branches",
        type=whole,
        default=0,
        metavar="N",
        help="prove a σ collapse by N runs widened, N left alone [none]",
    )
    parser.add_argument("--branch-steps", type=whole, metavar="N", help="environment steps of a branch [what was left]")
    parser.add_argument("--jobs", type=whole, metavar="N", help="branches at a time [one a core]")
    parser.add_argument(
        "--against", type=Path, metavar="RUN", help="run whose routes are the reference [its data, or the demonstrator]"
    )


def run(given: Namespace) -> int:
    """Diagnose."""
    from rich.console import Console

    from pgcontrol.diagnosis.diagnose import diagnose
    from pgcontrol.machine.cores import usable_cpus
    from pgcontrol.measures.verdicts import Limits, summary, to_prove
    from pgcontrol.options import InputError, read_options
    from pgcontrol.sweep.executor import Local

    if given.run is None:
        raise InputError("diagnose needs a run folder, such as runs/cheetah")
    limits = Limits(**read_options(Limits, given.settings))
    console = Console(highlight=False, soft_wrap=True)
    executor = Local(given.jobs or usable_cpus())
    try:
        verdicts = diagnose(given.run, console, executor, given.branches, given.branch_steps, given.against, limits)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with branches where they are" if given.branches else "stopped")
        return 130
    console.print(f"{summary(verdicts)}{to_prove(given.run, verdicts)}", markup=False)
    console.print(str(given.run / "diagnosis.md"), markup=False)
    return 0


def epilog(given: Namespace) -> str:
    """The limits that verdicts go by."""
    from pgcontrol.measures.verdicts import Limits

    lines = [
        f"  {f'--{f.name}'.replace('_', '-'):20} {f.metadata['help']} [{f.default}]" for f in dataclasses.fields(Limits)
    ]
    return "\n".join(["limits:", *lines])
