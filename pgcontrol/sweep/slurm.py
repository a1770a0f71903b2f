"""Cells as Slurm jobs, submitted with submitit."""

import io
import shlex
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from pgcontrol.machine import engines, processes
from pgcontrol.options import InputError
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.cluster import Cluster
from pgcontrol.sweep.on import On
from pgcontrol.sweep.work import work

TIMES = 100  # how often a job may run out of time and be queued again


class Job:
    """`work` as a submitit job; before its time limit, submitit calls `checkpoint` and queues the result."""

    def __call__(self, cell: Cell, where: Path, cores: int) -> None:
        """See `work`."""
        work(cell, where, cores)

    def checkpoint(self, *words: Any) -> Any:
        """The same job, which resumes from the run's checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *words)


class Slurm(Cluster):
    """The Slurm cluster of this machine; the comment of a job is its name."""

    def __init__(self, on: On, jobs: int | None = None):
        engines.require("submitit", "slurm")
        super().__init__(on, jobs)

    def names(self) -> dict[str, str]:
        """See `Cluster`."""
        lines = engines.slurm("squeue", "--me", "--noheader", "--format=%i %k").splitlines()
        return {name: job for job, _, name in (line.partition(" ") for line in lines)}

    def submit(self, cell: Cell, where: Path, name: str) -> None:
        """See `Cluster`."""
        import submitit
        from submitit.core.utils import FailedJobError

        executor = submitit.SlurmExecutor(where / ".jobs", max_num_timeout=TIMES)
        on, imports = self.on, processes.imports()["PYTHONPATH"]
        asked = {"partition": on.partition, "account": on.account, "mem": on.memory and f"{on.memory * 1000:.0f}MB"}
        executor.update_parameters(
            job_name=cell.name,
            comment=name,
            cpus_per_task=on.cores,
            time=on.time,
            setup=[f"export PYTHONPATH={shlex.quote(imports)} PYTHONSAFEPATH=1"],
            additional_parameters={"requeue": True},
            **{key: value for key, value in asked.items() if value is not None},
        )
        try:
            with redirect_stderr(io.StringIO()):  # submitit prints the error's message there
                executor.submit(Job(), cell, where, on.cores)
        except FailedJobError as error:
            raise InputError(f"Slurm rejected {cell.name}: {processes.last_line(str(error))}") from None

    def end(self, job: str) -> None:
        """See `Cluster`."""
        engines.slurm("scancel", "--quiet", job)  # it may have just ended
