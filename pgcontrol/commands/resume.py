"""Continue a run from its newest checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.flags import Section
from pgcontrol.options import REQUIRED, NoOptions, option


@dataclass(frozen=True)
class Options:
    """The run and its new budget."""

    run: Path = option(REQUIRED, "run folder, or one of its checkpoints to continue from", positional=True)
    total_steps: int | None = option(None, "new budget in environment steps", least=1, most=10**11)
    quiet: bool = option(False, "print only errors")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Continue the training."""
    from pgcontrol.training.resume import resume

    return resume(options.run, options.total_steps, quiet=options.quiet, settings=settings).exit_code


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The run's settings; those may be changed that do not affect the task or the policy."""
    from pgcontrol.runs.folder import RunFolder

    if options.run is None:
        where = "`pgcontrol resume RUN --help` lists them"
        return [Section(f"--SETTING VALUE changes a setting of the run; {where}", NoOptions())]
    if (folder := RunFolder.of(options.run)).cloned:
        return []
    config = folder.config()
    return [
        Section("settings of the run; all may be changed, except those of the task and the policy:", config),
        Section("", config.algorithm.options, "algorithm."),
    ]
