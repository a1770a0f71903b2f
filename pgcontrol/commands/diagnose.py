"""Say what went wrong in a run: σ collapse, averaging, lost modes, a destroyed policy; with evidence."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.flags import Section
from pgcontrol.options import REQUIRED, option, read_options


@dataclass(frozen=True)
class Options:
    """The run, and the experiments it is worth."""

    run: Path = option(REQUIRED, "run folder", positional=True)
    branches: int = option(0, "prove a σ collapse by N runs widened, N left alone; 0: none", least=0)
    branch_steps: int | None = option(None, "environment steps of a branch [what was left]", least=1)
    jobs: int | None = option(None, "branches at a time [one a core]", least=1)
    against: Path | None = option(
        None, "run whose routes are the reference [its data, or the demonstrator]", metavar="RUN"
    )


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Diagnose."""
    from rich.console import Console

    from pgcontrol.diagnosis.diagnose import diagnose
    from pgcontrol.machine.cores import usable_cpus
    from pgcontrol.machine.signals import STOPPED
    from pgcontrol.measures.verdicts import Limits, summary, to_prove
    from pgcontrol.sweep.executor import Local

    flags = [field.name for field in dataclasses.fields(Options)]
    limits = Limits(**read_options(Limits, settings, others=flags))
    console = Console(highlight=False, soft_wrap=True)
    executor = Local(options.jobs or usable_cpus())
    try:
        verdicts = diagnose(
            options.run, console, executor, options.branches, options.branch_steps, options.against, limits
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on with branches where they are" if options.branches else "stopped")
        return STOPPED
    console.print(f"{summary(verdicts)}{to_prove(options.run, verdicts)}", markup=False)
    console.print(str(options.run / "diagnosis.md"), markup=False)
    return 0


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The limits that verdicts go by."""
    from pgcontrol.measures.verdicts import Limits

    return [Section("limits:", Limits())]
