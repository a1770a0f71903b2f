"""What runs a cell. Nothing else knows that cells are processes on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from pgcontrol.experiment.sweep import Cell
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure, flat, nested, read_yaml

ATTEMPTS = 3
"""Of a cell whose process was killed from outside: it resumes from its checkpoint."""


class Outcome(NamedTuple):
    """A cell that ended."""

    cell: Cell
    folder: Path
    error: str
    """Empty, or why it failed: the last words of its log."""


class Executor:
    """Runs cells and says, as they end, how they ended."""

    jobs: int = 1
    """How many at a time."""

    def expected(self, cells: Sequence[Cell]) -> dict[tuple[str, str, int], float]:
        """Seconds that each will take, by `Cell.key`, where that can be told; told before anything runs."""
        return {}

    def run(self, cells: Sequence[Cell], where: Path) -> Generator[Outcome | None]:
        """Outcomes in the order they come; None now and then, for whoever shows progress meanwhile.

        Args:
            cells: what to run.
            where: folder of the run folders; what is half finished there is resumed.
        """
        raise NotImplementedError


class Local(Executor):
    """One process a cell, one thread each, so many at a time."""

    def __init__(self, jobs: int):
        self.jobs = jobs

    def expected(self, cells: Sequence[Cell]) -> dict[tuple[str, str, int], float]:
        """From a second of each kind of run, made here."""
        from pgcontrol.experiment.expected import expected

        return expected(cells)

    def run(self, cells: Sequence[Cell], where: Path) -> Generator[Outcome | None]:
        """See `Executor`. When the caller leaves early, what runs is asked to stop at its next checkpoint."""
        waiting, running = list(cells), dict[str, _Job]()
        where.mkdir(parents=True, exist_ok=True)
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    job = _Job(waiting.pop(0), where)
                    running[job.cell.name] = job
                for name, job in list(running.items()):
                    if outcome := job.poll():
                        del running[name]
                        yield outcome
                yield None
                time.sleep(0.2)
        finally:
            for job in running.values():
                job.stop()


class _Job:
    """A cell's process, started again when it was killed."""

    def __init__(self, cell: Cell, where: Path):
        self.cell, self.folder, self.attempts = cell, where / cell.name, 0
        self.log = where / f"{cell.name}.log"
        self.log.unlink(missing_ok=True)
        self._start()

    def _start(self) -> None:
        self.attempts += 1
        words = ["resume", str(self.folder)] if begun(self.cell, self.folder) else self._train()
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pgcontrol", *words],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def _train(self) -> list[str]:
        shutil.rmtree(self.folder, ignore_errors=True)  # it never came to a checkpoint, or answers another question
        return self.cell.words(self.folder)

    def poll(self) -> Outcome | None:
        """How it ended, or None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        if code < 0 and self.attempts < ATTEMPTS:
            self._start()
            return None
        words = self.log.read_text(errors="replace").strip().splitlines()
        error = "" if code == 0 else (words[-1] if words else f"exit code {code}")
        return Outcome(self.cell, self.folder, error)

    def stop(self) -> None:
        """Ask it to stop, and wait: it leaves a checkpoint to resume from."""
        self.process.terminate()
        self.process.wait()


def begun(cell: Cell, folder: Path) -> bool:
    """Whether the folder holds a checkpoint of this very cell."""
    return bool(checkpoint.find(folder)) and asked_of(cell, folder)


def asked_of(cell: Cell, folder: Path) -> bool:
    """Whether the run in the folder has the cell's settings."""
    if not (folder / "config.yaml").exists():
        return False
    asked = flat(nested(configure(cell.settings)))
    found = flat(nested(configure(read_yaml(folder / "config.yaml"))))
    return all(found.get(key) == value for key, value in asked.items() if key not in ("run_dir", "threads"))
