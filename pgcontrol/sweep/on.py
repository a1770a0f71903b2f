"""The block `on:` of a sweep's YAML: where its runs are made, and with which resources."""

import dataclasses
from typing import Any

from pgcontrol.arguments import ENGINES
from pgcontrol.options import InputError, option, read_options

ONLY = {  # setting -> engines, for settings that not every engine has
    "memory": ("slurm", "ray"),
    "time": ("slurm",),
    "partition": ("slurm",),
    "account": ("slurm",),
    "address": ("ray",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class On:
    """The engine of a sweep and the resources of a run.

        on:
          engine: slurm      # or ray, local
          cores: 1           # per run
          memory: 2          # gigabytes per run
          time: 240          # minutes per job; a longer run continues in another job
          partition: cpu     # Slurm
          account: lab       # Slurm
          address: head:6379 # Ray cluster

    `on: ray` is short for the engine with its defaults.
    """

    engine: str = option("local", "engine that makes the runs", choices=ENGINES)
    cores: int = option(1, "cores per run", least=1, most=1024)
    memory: float | None = option(None, "gigabytes per run [the cluster's default]", above=0, below=1e5)
    time: int = option(240, "minutes per job", least=5, most=10**6)
    partition: str | None = option(None, "Slurm partition [its default]")
    account: str | None = option(None, "Slurm account [the user's default]")
    address: str = option("auto", "HOST:PORT of the Ray cluster; auto: the cluster of this machine")

    def changed(self, engine: str | None, cores: int | None) -> "On":
        """A copy with the values of the command line."""
        return dataclasses.replace(self, engine=engine or self.engine, cores=cores or self.cores)


def parse(tree: Any) -> On:
    """Parse the block `on`.

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
                f"on: {key} = {tree[key]!r}: this is a setting of {' and '.join(ONLY[key])}, not of {found.engine}"
            )
    return found
