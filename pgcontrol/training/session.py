"""Shared by all kinds of runs: display, log and signals during a run, and the outcome at its end."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from pgcontrol.machine import cores
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

Session = tuple[Display, MetricsLog, Interrupt]


class Run(NamedTuple):
    """A training that has finished or was stopped.

    Attributes:
        status: as in the manifest: finished, or stopped (by a signal or `on_update`; `resume` continues).
    """

    path: Path
    steps: int
    status: str

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The run in an existing folder, in its current state.

        Raises:
            InputError: `path` is not a run folder.
        """
        manifest = RunFolder.open(Path(path)).manifest()
        return cls(Path(path), manifest.get("steps", 0), manifest.get("status", "running"))

    @property
    def exit_code(self) -> int:
        """0 for a finished run, else the exit code for a stop by a signal."""
        return 0 if self.status == "finished" else STOPPED

    def policy(self) -> Policy:
        """The policy of the newest checkpoint."""
        return load(self.path)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl, one per update, for `pandas.DataFrame`."""
        return read_rows(self.path / "metrics.jsonl")


OnUpdate = Callable[[dict[str, float]], object]  # receives the metrics of an update; returns True to stop the run


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
    """Context of a run from step `start` to `total`: display, log and signals. Torch uses one thread in it.

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
    """Write the outcome and the verdict of a run that has ended. Returns the verdict as one line.

    The verdict uses only the log; `pgcontrol diagnose` also plays the policy and trains branches. The outcome requires
    playing the policy. An error there is only a warning, because the training itself was successful.
    """
    try:
        outcome.write(folder, config.score_episodes if status == "finished" else 0)
    except FloatingPointError as error:
        warnings.warn(f"the outcome could not be computed: {error}", stacklevel=2)
    rows = read_rows(folder.metrics_file)
    known = Known(joints, reach=reached.reach(config.env, rows[-1][STEPS]) if rows else None)
    judged = judge(rows, config.total_steps, status, known=known)
    where = {"machine": cores.machine(), "load": cores.load()}
    folder.write_manifest(**verdicts.record(judged), **where)
    return f"diagnosis: {verdicts.summary(judged)}{verdicts.to_prove(folder.command('diagnose'), judged)}"
