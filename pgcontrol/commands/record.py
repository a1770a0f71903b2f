"""Record episodes of a run, or of a task's scripted demonstrator, as a Minari dataset."""

from dataclasses import dataclass

from pgcontrol.arguments import RecordOptions
from pgcontrol.options import option


@dataclass(frozen=True)
class Options(RecordOptions):
    """The source, and the output."""

    quiet: bool = option(False, "print only errors")


def run(options: Options) -> int:
    """Write the dataset; exit code 130 if a signal stopped it."""
    from pgcontrol.data.record import record
    from pgcontrol.machine.signals import STOPPED
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.play.evaluate import summary

    made = record(options)
    say = Terminal(quiet=options.quiet, highlight=False, soft_wrap=True, markup=False).print
    if made.recorded.routes and len(made.recorded.returns):
        row = summary(made.recorded, "")
        say(f"success {row['eval/success']:.3f}, route entropy {row['eval/route_entropy']:.3f}")
    if not made.whole:
        say(f"stopped with {made.episodes} of {options.episodes} episodes; run the same command to continue")
        return STOPPED
    say(f"{made.episodes} episodes; to fit a policy to them: pgcontrol clone {made.path} --head gaussian")
    return 0
