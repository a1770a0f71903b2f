"""Cells as actors of a Ray cluster: each ends when its cell has ended, and outlives the process that started it."""

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from pgcontrol.machine import engines
from pgcontrol.options import InputError
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.cluster import MARK, Cluster
from pgcontrol.sweep.on import On
from pgcontrol.sweep.work import ATTEMPTS, work
from pgcontrol.text import one_line

NAMESPACE = "pgcontrol"
PASSED_ON = "PGCONTROL_"  # prefix of the environment variables that are passed to nodes


class Actor:
    """A node's process for one cell. It works from its start on, so that a restart by Ray on another node continues it.

    Raises:
        InputError: the node has a different folder with this name.
        OSError: the node has no such folder.
    """

    def __init__(self, cell: Cell, where: Path, cores: int, mark: str, here: str, environment: dict[str, str]):
        import ray

        os.environ.update(environment)
        with suppress(OSError):  # relative paths in settings start there
            os.chdir(here)
        if (where / MARK).read_text() != mark:
            raise InputError(f"{where} is not shared by all machines")
        self._me: Any = ray.get_runtime_context().current_actor
        threading.Thread(target=self._work, args=(cell, where, cores), daemon=True).start()

    def _work(self, cell: Cell, where: Path, cores: int) -> None:
        try:
            work(cell, where, cores)
        finally:
            self._me.leave.remote()

    def leave(self) -> None:
        """End this process and release its resources."""
        from ray.actor import exit_actor

        exit_actor()


class Ray(Cluster):
    """A Ray cluster; the name of an actor is the name of the job."""

    def __init__(self, on: On, jobs: int | None = None):
        engines.require("ray", "ray")
        address = engines.ray_cluster(on.address)
        import ray

        try:
            quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": True}
            ray.init(address=address, namespace=NAMESPACE, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise engines.Unavailable(f"Ray: {one_line(error, 300)}") from error
        super().__init__(on, jobs)

    def names(self) -> dict[str, str]:
        """See `Cluster`."""
        import ray

        return {name: name for name in ray.util.list_named_actors()}

    def submit(self, cell: Cell, where: Path, name: str) -> None:
        """See `Cluster`."""
        import ray

        on = self.on
        has = {"num_cpus": on.cores, "memory": on.memory and int(on.memory * 1e9)}
        lasts = {"lifetime": "detached", "max_restarts": ATTEMPTS, "name": name}
        mark = (where / MARK).read_text()
        environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        ray.remote(Actor).options(**has, **lasts).remote(cell, where, on.cores, mark, os.getcwd(), environment)

    def end(self, job: str) -> None:
        """See `Cluster`."""
        import ray

        with suppress(ValueError):  # it has just ended
            ray.kill(ray.get_actor(job))
