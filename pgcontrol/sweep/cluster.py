"""Cells as jobs of a cluster: they go on when the caller leaves, and the engine itself knows which there are."""

import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from pgcontrol.machine import locks
from pgcontrol.options import InputError
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.on import On
from pgcontrol.sweep.sweep import Cell, Key

JOBS = 64  # that are queued or run at a time, where nobody says
# file in the folder of the run folders: what it says is there for those alone that share the folder, and changes when
# the jobs are cancelled
MARK = ".mark"


class Cluster(Executor):
    """An engine whose jobs have names: the paths of the cells' run folders.

    Args:
        on: what each job gets.
        jobs: how many are queued or run at a time; None: `JOBS`.

    Raises:
        InputError: the engine is not there.
    """

    pause = 2.0
    outlasts = True

    def __init__(self, on: On, jobs: int | None = None):
        self.on, self.jobs = on, jobs or JOBS
        self._lock = threading.Lock()  # a search asks from several threads
        self._known, self._asked = dict[str, str](), -self.pause
        self._marks = dict[Path, str]()
        self._look()

    def names(self) -> dict[str, str]:
        """Of the jobs that are queued or run: the folder of each, and what the engine calls it.

        Raises:
            InputError: the engine does not answer.
        """
        raise NotImplementedError

    def submit(self, cell: Cell, where: Path, name: str) -> None:
        """Queue `work(cell, where)` as a job of that name; `where` is an absolute path.

        Raises:
            InputError: the engine refuses it.
        """
        raise NotImplementedError

    def end(self, job: str) -> None:
        """Take away a job, by what the engine calls it, whether it is queued or runs."""
        raise NotImplementedError

    def alive(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """See `Executor`.

        Raises:
            InputError: another process has cancelled the jobs since the first was placed here.
        """
        self._require(where)
        with self._lock:
            if time.monotonic() - self._asked >= self.pause:
                self._look()
            return {cell.key for cell in cells if name_of(cell, where) in self._known}

    def place(self, cell: Cell, where: Path) -> bool:
        """See `Executor`; raises as `alive` and `submit` do."""
        mark, name = where / MARK, name_of(cell, where)
        mark.touch()
        with self._lock, locks.waiting(mark):  # of two that look, one submits
            self._require(where)
            self._marks[where] = mark.read_text() or _renew(mark)
            self._look()
            if new := name not in self._known:
                # without what it keeps of its config, whose classes may be those of a plug-in
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
            raise InputError("somebody has cancelled the jobs of this sweep; the same command places them again")

    def _look(self) -> None:
        self._known, self._asked = self.names(), time.monotonic()


def _renew(mark: Path) -> str:
    mark.write_text(said := uuid.uuid4().hex)
    return said


def name_of(cell: Cell, where: Path) -> str:
    """Of a cell's job."""
    return os.path.abspath(where / cell.name)
