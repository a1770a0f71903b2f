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
    import numpy as np

    from pgcontrol.data.record import record
    from pgcontrol.machine.signals import STOPPED
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.parts import command
    from pgcontrol.play.evaluate import summary
    from pgcontrol.text import count

    made = record(options)
    say = Terminal(quiet=options.quiet, highlight=False, soft_wrap=True).print
    if made.recorded.routes and len(made.recorded.returns):
        row = summary(made.recorded, "")
        entropy = row["eval/route_entropy"]
        said = f", route entropy {entropy:.3f}" if np.isfinite(entropy) else ""  # without a success there is none
        say(f"success {row['eval/success']:.3f}{said}")
    if not made.whole:
        whole = count(options.episodes, "episode")
        say(f"stopped with {made.episodes} of {whole}; run the same command to continue")
        return STOPPED
    fit = command("clone", made.path, "--head", "gaussian")
    say(f"{count(made.episodes, 'episode')}; to fit a policy to them: {fit}")
    return 0
