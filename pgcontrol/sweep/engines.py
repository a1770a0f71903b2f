"""The executor for the block `on:` of a sweep."""

from pgcontrol.machine.cores import usable_cpus
from pgcontrol.sweep.executor import Executor, Local
from pgcontrol.sweep.on import On
from pgcontrol.sweep.ray_cluster import Ray
from pgcontrol.sweep.slurm import Slurm

CLUSTERS = {"slurm": Slurm, "ray": Ray}


def executor_of(on: On, jobs: int | None = None) -> Executor:
    """The executor for an engine, with `jobs` at a time; None: one per core on this machine, `JOBS` on a cluster.

    Raises:
        InputError: the engine is not available.
    """
    if on.engine in CLUSTERS:
        return CLUSTERS[on.engine](on, jobs)
    return Local(jobs or max(usable_cpus() // on.cores, 1), on.cores)
