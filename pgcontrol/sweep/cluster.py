"""Cells as jobs of a cluster. They continue when the caller leaves, and the engine keeps the list of jobs."""

import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from pgcontrol.machine import locks
from pgcontrol.options import InputError
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.on import On

JOBS = 64  # default number of jobs that are queued or running
# a file in the folder of the run folders: only machines that share the folder can read its content, which changes when
# the jobs are cancelled
MARK = ".mark"


class Cluster(Executor):
    """An engine whose jobs have names: the paths of the cells' run folders.

    Args:
        on: resources of each job.
        jobs: number of jobs that are queued or running; None: `JOBS`.

    Raises:
        InputError: the engine is not available.
    """

    pause = 2.0
    outlasts = True

    def __init__(self, on: On, jobs: int | None = None):
        self.on, self.jobs = on, jobs or JOBS
        self._lock = threading.Lock()  # a search calls from several threads
        self._known, self._asked = dict[str, str](), -self.pause
        self._marks = dict[Path, str]()
        self._look()

    def names(self) -> dict[str, str]:
        """Job name -> the engine's id, for the jobs that are queued or running.

        Raises:
            InputError: the engine does not answer.
        """
        raise NotImplementedError

    def submit(self, cell: Cell, where: Path, name: str) -> None:
        """Queue `work(cell, where)` as a job with this name; `where` is an absolute path.

        Raises:
            InputError: the engine rejects it.
        """
        raise NotImplementedError

    def end(self, job: str) -> None:
        """End a queued or running job, given the engine's id."""
        raise NotImplementedError

    def alive(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """See `Executor`.

        Raises:
            InputError: another process has cancelled the jobs after this one placed the first.
        """
        self._require(where)
        with self._lock:
            if time.monotonic() - self._asked >= self.pause:
                self._look()
            return {cell.key for cell in cells if name_of(cell, where) in self._known}

    def place(self, cell: Cell, where: Path) -> bool:
        """See `Executor`; raises like `alive` and `submit`."""
        mark, name = where / MARK, name_of(cell, where)
        mark.touch()
        with self._lock, locks.waiting(mark):  # two processes must not submit the same job
            self._require(where)
            self._marks[where] = mark.read_text() or _renew(mark)
            self._look()
            if new := name not in self._known:
                # without the cached config, whose classes may be from a plug-in
                self.submit(dataclasses.replace(cell), Path(os.path.abspath(where)), name)
                self._known[name] = ""
        return new

    def cancel(self, where: Path) -> int:
        """See `Executor`."""
        inside = os.path.join(os.path.abspath(where), "")
        for mark in where.rglob(MARK):
            _renew(mark)
            self._marks.pop(mark.parent, None)
        with self._lock:
            self._look()
            jobs = [job for name, job in self._known.items() if name.startswith(inside)]
            for job in jobs:
                self.end(job)
        return len(jobs)

    def _require(self, where: Path) -> None:
        if where in self._marks and self._marks[where] != (where / MARK).read_text():
            raise InputError("the jobs of this sweep were cancelled; the same command submits them again")

    def _look(self) -> None:
        self._known, self._asked = self.names(), time.monotonic()


def _renew(mark: Path) -> str:
    mark.write_text(content := uuid.uuid4().hex)
    return content


def name_of(cell: Cell, where: Path) -> str:
    """The name of a cell's job: the absolute path of its run folder."""
    return os.path.abspath(where / cell.name)
