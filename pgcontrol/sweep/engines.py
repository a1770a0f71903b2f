"""The executor that a sweep asks for."""

from pgcontrol.machine.cores import usable_cpus
from pgcontrol.sweep.executor import Executor, Local
from pgcontrol.sweep.on import On
from pgcontrol.sweep.ray_cluster import Ray
from pgcontrol.sweep.slurm import Slurm

CLUSTERS = {"slurm": Slurm, "ray": Ray}


def executor_of(on: On, jobs: int | None = None) -> Executor:
    """What runs cells there, so many at a time; None: one a core here, or what a cluster may queue.

    Raises:
        InputError: the engine is not there.
    """
    if on.engine in CLUSTERS:
        return CLUSTERS[on.engine](on, jobs)
    return Local(jobs or max(usable_cpus() // on.cores, 1), on.cores)
