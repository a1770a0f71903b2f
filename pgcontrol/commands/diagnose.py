"""Find out what went wrong in a run: σ collapse, averaging, lost modes, a destroyed policy; with evidence."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgcontrol.arguments import DiagnoseOptions
from pgcontrol.flags import Section
from pgcontrol.options import option


@dataclass(frozen=True)
class Options(DiagnoseOptions):
    """The run, and the output."""

    quiet: bool = option(False, "print only the verdict")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Diagnose the run."""
    from pgcontrol.diagnosis.diagnose import diagnose
    from pgcontrol.machine.signals import STOPPED
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.measures.verdicts import to_prove
    from pgcontrol.runs.folder import RunFolder

    try:
        found = diagnose(options, **settings)
    except KeyboardInterrupt:
        print("stopped; run the same command to continue the branches" if options.branches else "stopped")
        return STOPPED
    say = Terminal(highlight=False, soft_wrap=True).print
    say(f"{found.summary}{to_prove(RunFolder(options.run).command('diagnose'), found.verdicts)}")
    say(f"{options.run / 'diagnosis.md'} has the evidence, with pictures (diagnosis*.svg)")
    return 0


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The thresholds of the verdicts."""
    from pgcontrol.measures.verdicts import Limits

    return [Section("limits:", Limits())]
