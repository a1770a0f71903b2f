"""Cells as jobs of Slurm, submitted by submitit."""

import io
import shlex
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from pgcontrol.machine import engines, processes
from pgcontrol.options import InputError
from pgcontrol.sweep.cluster import Cluster
from pgcontrol.sweep.on import On
from pgcontrol.sweep.sweep import Cell
from pgcontrol.sweep.work import work

TIMES = 100  # that a job may run out of time and be queued again


class Job:
    """`work`, as submitit calls it; before its time is up, submitit asks for a `checkpoint` and queues it again."""

    def __call__(self, cell: Cell, where: Path, cores: int) -> None:
        """See `work`."""
        work(cell, where, cores)

    def checkpoint(self, *words: Any) -> Any:
        """What to queue: the same, which goes on from the run's own checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *words)


class Slurm(Cluster):
    """Slurm of this machine; a job's comment is its name."""

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
            with redirect_stderr(io.StringIO()):  # where submitit repeats what the error says
                executor.submit(Job(), cell, where, on.cores)
        except FailedJobError as error:
            raise InputError(f"Slurm refuses {cell.name}: {processes.last_line(str(error))}") from None

    def end(self, job: str) -> None:
        """See `Cluster`."""
        engines.slurm("scancel", "--quiet", job)  # it may have just ended
