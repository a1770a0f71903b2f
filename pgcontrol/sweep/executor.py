"""What runs a cell: nothing else knows that cells are processes on this machine."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from pgcontrol.machine import processes
from pgcontrol.machine.locks import taken
from pgcontrol.machine.signals import PARENT, STOPPED
from pgcontrol.runs import checkpoint
from pgcontrol.sweep import run_state
from pgcontrol.sweep.sweep import Cell, Key, command

ATTEMPTS = 3  # starts of a cell that is killed or stopped from outside, without a new checkpoint in between


class Ended(NamedTuple):
    """A cell that ended.

    Attributes:
        error: empty, or why it failed.
        log: file of its process's output, where that is kept.
    """

    cell: Cell
    folder: Path
    error: str
    log: Path | None = None


Running = frozenset[Key]  # keys of the cells that run just now


class Executor:
    """Runs cells and says, as they end, how they ended.

    Attributes:
        jobs: how many at a time.
    """

    jobs: int = 1

    def expected(self, cells: Sequence[Cell]) -> dict[Key, float]:
        """Seconds that each will take, by `Cell.key`, where that can be told; told before anything runs.

        Raises:
            InputError: a cell cannot be run at all.
        """
        return {}

    def run(self, cells: Sequence[Cell], where: Path) -> Generator[Ended | Running]:
        """Outcomes in the order they come; now and then what runs, for whoever shows progress meanwhile.

        Args:
            cells: what to run.
            where: folder of the run folders; what is half finished there is resumed.
        """
        raise NotImplementedError


class Local(Executor):
    """One process a cell, one thread each, so many at a time."""

    def __init__(self, jobs: int):
        self.jobs = jobs

    def expected(self, cells: Sequence[Cell]) -> dict[Key, float]:
        """From a second of each kind of run, made here."""
        from pgcontrol.sweep.expected import expected

        return expected(cells)

    def run(self, cells: Sequence[Cell], where: Path) -> Generator[Ended | Running]:
        """See `Executor`. When the caller leaves early, what runs is asked to stop at its next checkpoint."""
        waiting, running = list(cells), dict[Key, _Process]()
        where.mkdir(parents=True, exist_ok=True)
        try:
            while waiting or running:
                while len(running) < self.jobs and (cell := _free(waiting, where)):
                    waiting.remove(cell)
                    running[cell.key] = _Process(cell, where)
                for key, job in list(running.items()):
                    if outcome := job.poll():
                        del running[key]
                        yield outcome
                yield frozenset(running)
                time.sleep(0.2)
        finally:
            for job in running.values():
                job.process.terminate()  # it leaves a checkpoint to resume from
            for job in running.values():
                job.process.wait()


def _free(cells: Sequence[Cell], where: Path) -> Cell | None:
    """The first that nobody works on: a worker of a sweep that was killed may be writing its last checkpoint."""
    return next((cell for cell in cells if not taken(where / cell.name)), None)


class _Process:
    """A cell's process, started again when it was ended from outside."""

    def __init__(self, cell: Cell, where: Path):
        self.cell, self.folder, self.log = cell, where / cell.name, where / f"{cell.name}.log"
        self.attempts, self.steps = 0, 0  # steps of the newest checkpoint; 0 before the first
        self.log.unlink(missing_ok=True)
        self._start()

    def _start(self) -> None:
        self.attempts += 1
        if run_state.begun(self.cell, self.folder):
            words = ["resume", str(self.folder)]
        else:
            if run_state.foreign(self.cell, self.folder):
                run_state.set_aside(self.folder, "other")
            shutil.rmtree(self.folder, ignore_errors=True)  # it never came to a checkpoint
            words = command(self.cell.settings | {"score_episodes": self.cell.episodes}, self.folder)
        with self.log.open("a") as log:
            words = [*processes.python("pgcontrol"), *words]
            env = os.environ | processes.imports() | {"OMP_NUM_THREADS": "1", PARENT: str(os.getpid())}
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(words, **streams, env=env)

    def poll(self) -> Ended | None:
        """How it ended, or None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        if code < 0 or code == STOPPED:
            found = checkpoint.find(self.folder)
            if found and (steps := checkpoint.steps_of(found[-1])) > self.steps:
                self.attempts, self.steps = 0, steps
            if self.attempts < ATTEMPTS:
                self._start()
                return None
        return Ended(self.cell, self.folder, self._error(code), self.log)

    def _error(self, code: int) -> str:
        if code == STOPPED:
            return f"stopped from outside {self.attempts} times"
        if code < 0:
            cause = "; out of memory?" if -code == signal.SIGKILL else ""
            return f"killed by {processes.how_it_ended(code)} {self.attempts} times{cause}"
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "" if code == 0 else processes.last_line(said).removeprefix("pgcontrol: ") or f"exit code {code}"
