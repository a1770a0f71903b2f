"""A run at work and at its end, whatever trains in it: what it is shown on, written to and stopped by, its outcome."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from pgcontrol.machine.signals import STOPPED, Interrupt
from pgcontrol.machine.threads import one_thread
from pgcontrol.measures import verdicts
from pgcontrol.measures.curves import STEPS
from pgcontrol.measures.judge import Known, judge
from pgcontrol.policy import Policy
from pgcontrol.runs import reached
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load
from pgcontrol.runs.log import Display, MetricsLog, read_rows
from pgcontrol.training import outcome

Session = tuple[Display, MetricsLog, Interrupt]  # what a run is shown on, written to, and stopped by


class Run(NamedTuple):
    """A training that ended, or was stopped.

    Attributes:
        status: finished, or stopped (by a signal; `resume` goes on from there), as the manifest has it.
    """

    path: Path
    steps: int
    status: str

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The run of a folder that is there, as far as it has come.

        Raises:
            InputError: it is no run folder.
        """
        manifest = RunFolder.open(Path(path)).manifest()
        return cls(Path(path), manifest.get("steps", 0), manifest.get("status", "running"))

    @property
    def exit_code(self) -> int:
        """0, or that of what a signal stopped."""
        return 0 if self.status == "finished" else STOPPED

    def policy(self) -> Policy:
        """The policy of the newest checkpoint."""
        return load(self.path)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl, one an update, as `pandas.DataFrame` takes them."""
        return read_rows(self.path / "metrics.jsonl")


OnUpdate = Callable[[dict[str, float]], object]  # gets the metrics of an update; True ends the run there


@contextmanager
def session(
    folder: RunFolder,
    config: Config | CloneConfig,
    title: str,
    total: int,
    start: int = 0,
    quiet: bool = True,
    echoed: bool = False,
) -> Generator[Session]:
    """What is open while a run is made, from step `start` to `total`; torch computes with one thread meanwhile.

    `echoed`: see `Interrupt`.
    """
    with (
        one_thread(),
        Display(title, total, start, quiet) as display,
        MetricsLog(folder.metrics_file, start, folder.loggers(config, start)) as log,
        Interrupt(echoed) as interrupt,
    ):
        if ids := {name: logger.id for name, logger in log.loggers.items() if logger.id}:
            folder.write_manifest(loggers=folder.manifest().get("loggers", {}) | ids)
        yield display, log, interrupt


def ended(folder: RunFolder, config: Config, status: str, joints: Sequence[str]) -> str:
    """Write the outcome and the verdict of a run that has ended; the verdict as one line.

    The verdict is of the log alone; playing and branching are `pgcontrol diagnose`. An error in the outcome, for which
    the policy is played, says nothing about the training: the run ends as it would without an outcome.
    """
    try:
        outcome.write(folder, config.score_episodes if status == "finished" else 0)
    except FloatingPointError as error:
        warnings.warn(f"the outcome could not be computed: {error}", stacklevel=2)
    rows = read_rows(folder.metrics_file)
    known = Known(joints, reach=reached.reach(config.env, rows[-1][STEPS]) if rows else None)
    told = judge(rows, config.total_steps, status, known=known)
    folder.write_manifest(verdict=verdicts.words(told), diagnosis=verdicts.summary(told))
    return f"diagnosis: {verdicts.summary(told)}{verdicts.to_prove(folder.command('diagnose'), told)}"
