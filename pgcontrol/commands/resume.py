"""Go on with a run from its newest checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.flags import Section
from pgcontrol.options import REQUIRED, option


@dataclass(frozen=True)
class Options:
    """What `resume` reads."""

    run: Path = option(REQUIRED, "run folder, or one of its checkpoints to go back to", positional=True)
    total_steps: int | None = option(None, "a new budget in environment steps", least=1, most=10**11)
    quiet: bool = option(False, "print nothing but errors")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Train on."""
    from pgcontrol.training.resume import resume

    return resume(options.run, options.total_steps, quiet=options.quiet, settings=settings).exit_code


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The settings of the run, which others may replace as far as they change neither the task nor the policy."""
    from pgcontrol.runs.folder import RunFolder

    if options.run is None or (folder := RunFolder.of(options.run)).cloned:
        return []
    config = folder.config()
    return [
        Section("settings of the run, which may change unless they make another task or policy:", config),
        Section("", config.algorithm.options, "algorithm."),
    ]
