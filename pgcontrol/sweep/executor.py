"""Executors run cells: an engine starts them, and the result is read from their folders."""

import math
import os
import time
from collections.abc import Callable, Collection, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from pgcontrol.machine import files
from pgcontrol.machine.cores import busy
from pgcontrol.options import InputError
from pgcontrol.sweep import run_state
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.work import ATTEMPTS, PAUSE, Work


class Ended(NamedTuple):
    """A cell that ended.

    Attributes:
        error: empty, or the error message.
        log: file with the output of its process, if any.
    """

    cell: Cell
    folder: Path
    error: str
    log: Path | None = None


Say = Callable[[str], object]  # shows a line
Running = frozenset[Key]  # keys of the cells that are running
# seconds between two checks of cells that wait while every job is at work: another executor may have run them. To check
# hundreds of cells as often as the running ones takes a tenth of a core
LOOK = 5.0


class Executor:
    """Runs cells and yields their outcomes.

    Several executors, also in other processes or on other machines, may run the same cells into the same folder: each
    cell is run once, and all executors yield its outcome.

    Attributes:
        jobs: number of cells at a time.
        pause: seconds between two checks.
        outlasts: whether cells continue when the caller leaves.
    """

    jobs: int = 1
    pause: float = PAUSE
    outlasts: bool = False

    def expected(self, cells: Sequence[Cell], say: Say) -> dict[Key, float]:
        """Expected seconds of each cell, if the executor can estimate them; called before anything runs.

        `say` is called with a line if this takes time.

        Raises:
            InputError: a cell cannot be run.
        """
        return {}

    def alive(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """The cells that are queued or running in the engine. A job that has just ended may still be included."""
        return set()

    def place(self, cell: Cell, where: Path) -> bool:
        """Start `work(cell, where)` in the engine; False if another executor has just done so."""
        raise NotImplementedError

    def leave(self, cells: Collection[Cell], where: Path) -> None:
        """Called when the caller needs no more outcomes of these cells."""

    def cancel(self, where: Path) -> int:
        """Cancel all jobs of the folder `where` and its subfolders; returns their number."""
        return 0

    def at_work(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """The cells that are queued, running, or locked by any process."""
        return self.alive(cells, where) | {cell.key for cell in cells if run_state.held(cell, where)}

    def run(self, cells: Sequence[Cell], where: Path) -> Generator[Ended | Running]:
        """Yield outcomes as they come, and regularly the keys of the running cells, for progress displays.

        Args:
            cells: the cells to run.
            where: folder of the run folders; unfinished runs there are resumed.

        Raises:
            InputError: a job ended before any run began.
        """
        where.mkdir(parents=True, exist_ok=True)
        watches, begun = {cell.key: _Watch(cell, where) for cell in cells}, False
        busy, looked = set[Key](), -math.inf
        try:
            while watches:
                alive = self.alive([watch.cell for watch in watches.values()], where)
                os.listdir(where)  # over NFS, this refreshes the names of files that other machines created
                if len(alive) < self.jobs or time.monotonic() - looked > LOOK:
                    seen, looked = [*watches], time.monotonic()
                else:
                    seen = [key for key in watches if key in alive or key in busy]
                busy = {key for key in seen if run_state.held(watches[key].cell, where)}
                for key in seen:
                    watch = watches[key]
                    begun |= watch.begun()
                    if key in alive or key in busy:
                        continue
                    if outcome := watch.outcome():
                        if watch.vanished() and not begun:
                            self.cancel(where)
                            raise InputError(f"{watch.cell.name}: {outcome.error}")
                        del watches[key]
                        yield outcome
                    elif len(alive) < self.jobs and self.place(watch.cell, where):
                        watch.placed += 1
                        alive.add(key)
                runs = {key for key, watch in watches.items() if key in busy or (key in alive and watch.begun())}
                yield frozenset(runs)
                time.sleep(self.pause)
        finally:
            self.leave([watch.cell for watch in watches.values()], where)


class _Watch:
    """The state of a cell, read from its folder, its log and the note of its failure.

    Attributes:
        placed: how often it was started since its last new checkpoint.
    """

    def __init__(self, cell: Cell, where: Path):
        self.cell, self.folder, self.log = cell, where / cell.name, run_state.log_of(cell, where)
        self.placed, self.steps = 0, run_state.reached(self.folder)
        self._logged, self._noted = files.stamp(self.log), run_state.noted(self.folder)

    def begun(self) -> bool:
        """Whether a worker has begun since this object was made."""
        return files.stamp(self.log) != self._logged

    def vanished(self) -> bool:
        """Whether it was started and no worker began; only valid if it is not alive."""
        return self.placed > 0 and not self.begun()

    def outcome(self) -> Ended | None:
        """The outcome; None if the cell must be started. Only valid while no process works on it."""
        error = run_state.failure(self.cell, self.folder) if run_state.noted(self.folder) != self._noted else ""
        if not error and not run_state.over(self.cell, self.folder) and not (error := self._lost()):
            return None
        return Ended(self.cell, self.folder, error, self.log)

    def _lost(self) -> str:
        """The error message for a job that left no outcome; empty if it should be tried again."""
        if self.vanished():
            return f"its job ended before it began: it was cancelled, or its node cannot access {self.folder.parent}"
        if (steps := run_state.reached(self.folder)) > self.steps:
            self.placed, self.steps = 0, steps
        return f"its job was lost {self.placed} times without a new checkpoint" if self.placed >= ATTEMPTS else ""


class Local(Executor):
    """One process per cell on this machine; they end with the caller.

    Args:
        jobs: number of cells at a time.
        cores: cores per cell.
    """

    def __init__(self, jobs: int, cores: int = 1):
        self.jobs, self.cores = jobs, cores
        self._works: dict[Path, Work] = {}

    def expected(self, cells: Sequence[Cell], say: Say) -> dict[Key, float]:
        """Measured with about a second of each kind of run."""
        from pgcontrol.sweep.expected import expected

        say(f"measuring the speed: each arm trains on each task for about a second{busy()}")
        return expected(cells)

    def alive(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """See `Executor`."""
        for cell in cells:
            if (work := self._works.get(where / cell.name)) and work.ended():
                del self._works[work.folder]
        return {cell.key for cell in cells if where / cell.name in self._works}

    def place(self, cell: Cell, where: Path) -> bool:
        """See `Executor`."""
        if work := Work.begin(cell, where, self.cores):
            self._works[work.folder] = work
        return work is not None

    def leave(self, cells: Collection[Cell], where: Path) -> None:
        """Ask the running cells to stop at their next checkpoint, and wait for them."""
        works = [work for cell in cells if (work := self._works.pop(where / cell.name, None))]
        for work in works:
            work.stop()
        for work in works:
            work.wait()
