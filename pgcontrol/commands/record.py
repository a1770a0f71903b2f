"""Record episodes of a run, or of a task's scripted demonstrator, as a Minari dataset."""

import math
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option


@dataclass(frozen=True)
class Options:
    """Who is recorded, and where to."""

    source: str = option(
        REQUIRED, "run folder or checkpoint, or a task with a demonstrator", metavar="RUN|TASK", positional=True
    )
    episodes: int = option(REQUIRED, "episodes the dataset is to have", least=1)
    out: Path = option(REQUIRED, "the dataset's folder", metavar="DIR")
    mode: bool = option(False, "play the policy's mode, not its samples")
    noise: float = option(1.0, "scale of the demonstrator's noise", least=0, below=math.inf)
    seed: int = option(0, "of start states and samples", least=0)
    quiet: bool = option(False, "print nothing but errors")


def run(options: Options) -> int:
    """The dataset; 130 when a signal stopped it."""
    from pgcontrol.data.record import record
    from pgcontrol.machine.signals import STOPPED

    whole = record(
        options.source, options.out, options.episodes, options.seed, options.mode, options.noise, options.quiet
    )
    return 0 if whole else STOPPED
