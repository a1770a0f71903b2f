"""Go on with a run from its newest checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option


@dataclass(frozen=True)
class Options:
    """What `resume` reads."""

    run: Path = option(REQUIRED, "run folder", positional=True)
    total_steps: int | None = option(None, "a new budget in environment steps", least=1)
    quiet: bool = option(False, "print nothing but errors")


def run(options: Options) -> int:
    """Train on."""
    from pgcontrol.training.train import resume

    return resume(options.run, options.total_steps, quiet=options.quiet).exit_code
