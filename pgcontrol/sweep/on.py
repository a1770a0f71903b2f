"""The block `on:` of a sweep's YAML: where its runs are made, and what each of them gets there."""

import dataclasses
from typing import Any

from pgcontrol.arguments import ENGINES
from pgcontrol.options import InputError, option, read_options

ONLY = {  # settings that not every engine has, and those that have them
    "memory": ("slurm", "ray"),
    "time": ("slurm",),
    "partition": ("slurm",),
    "account": ("slurm",),
    "address": ("ray",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class On:
    """What places the runs of a sweep.

        on:
          engine: slurm      # or ray, local
          cores: 1           # of a run
          memory: 2          # gigabytes of a run
          time: 240          # minutes of a job; a run that takes longer goes on in another
          partition: cpu     # Slurm's
          account: lab
          address: head:6379 # of Ray's cluster

    `on: ray` is short for an engine with its defaults.
    """

    engine: str = option("local", "what places the runs", choices=ENGINES)
    cores: int = option(1, "of a run", least=1, most=1024)
    memory: float | None = option(None, "gigabytes of a run [the cluster's default]", above=0, below=1e5)
    time: int = option(240, "minutes of a job", least=5, most=10**6)
    partition: str | None = option(None, "Slurm's partition [its default]")
    account: str | None = option(None, "Slurm's account [the user's default]")
    address: str = option("auto", "of Ray's cluster, HOST:PORT; auto: the one that runs on this machine")

    def changed(self, engine: str | None, cores: int | None) -> "On":
        """The same with what the command line says."""
        return dataclasses.replace(self, engine=engine or self.engine, cores=cores or self.cores)


def parse(tree: Any) -> On:
    """What the YAML says under `on`.

    Raises:
        InputError: one line that names the key.
    """
    tree = {"engine": tree} if isinstance(tree, str) else {} if tree is None else tree
    if not isinstance(tree, dict):
        raise InputError(f"on = {tree!r}: must be one of {', '.join(ENGINES)}, or map engine, cores, ... to values")
    found = On(**read_options(On, tree, "on."))
    for key in tree:
        if "engine" in tree and found.engine not in ONLY.get(key, ENGINES):
            raise InputError(
                f"on: {key} = {tree[key]!r}: it is a setting of {' and '.join(ONLY[key])}, not of {found.engine}"
            )
    return found
