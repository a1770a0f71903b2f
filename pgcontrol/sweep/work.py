"""A worker runs one cell, on this machine or on a node of a cluster."""

import datetime
import os
import platform
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pgcontrol.machine import locks, processes
from pgcontrol.machine.signals import PARENT, STOPPED, like_ctrl_c
from pgcontrol.options import InputError
from pgcontrol.runs.log import last_row
from pgcontrol.sweep import run_state
from pgcontrol.sweep.cell import Cell, command

ATTEMPTS = 3  # number of starts of a cell that is killed or stopped from outside, without a new checkpoint
PAUSE = 0.2  # seconds between two checks of a process


def work(cell: Cell, where: Path, cores: int = 1) -> None:
    """Run or resume a cell. The result is in its run folder, or in the note of its failure.

    If another worker has the cell, wait for it; then do nothing if the cell is complete. SIGTERM leaves a checkpoint.

    Args:
        cell: the cell to run.
        where: folder of the run folders.
        cores: threads of the run, if its settings do not set them.
    """
    with like_ctrl_c():
        while (job := Work.begin(cell, where, cores)) is None:
            time.sleep(PAUSE)
        try:
            while not job.ended():
                time.sleep(PAUSE)
        finally:
            job.stop()
            job.wait()


class Work:
    """A cell's process, which is started again if it was ended from outside.

    The worker and the process lock the cell's log, because the process may outlive a killed worker for one update.
    """

    def __init__(self, cell: Cell, where: Path, cores: int, lock: int, held: ExitStack):
        self.cell, self.folder, self.log, self.cores = cell, where / cell.name, run_state.log_of(cell, where), cores
        self.attempts, self.steps = 0, 0  # steps of the newest checkpoint; 0 without one
        self._lock, self._held = lock, held
        self.log.write_text(f"on {platform.node()}, {datetime.datetime.now():%Y-%m-%d %H:%M:%S}\n")
        self.process = None if run_state.over(cell, self.folder) else self._started()

    @classmethod
    def begin(cls, cell: Cell, where: Path, cores: int = 1) -> Self | None:
        """Take a cell; None if another worker or a `pgcontrol resume` has it."""
        with ExitStack() as held:
            try:
                lock = held.enter_context(run_state.alone(cell, where))
            except InputError:
                return None
            # only the process that has locked the log tries this lock, or else a starting run might find it locked
            return None if locks.taken(where / cell.name) else cls(cell, where, cores, lock, held.pop_all())

    def _started(self) -> subprocess.Popen:
        self.attempts += 1
        if run_state.begun(self.cell, self.folder):
            words = ["resume", str(self.folder)]
        else:
            if run_state.foreign(self.cell, self.folder):
                run_state.set_aside(self.folder, "other")
            shutil.rmtree(self.folder, ignore_errors=True)  # it has no checkpoint
            words = command(self.cell.settings | {"score_episodes": self.cell.episodes}, self.folder, self.cores)
        with self.log.open("a") as log:
            words = [*processes.python("pgcontrol"), *words]
            env = os.environ | processes.imports() | {"OMP_NUM_THREADS": "1", PARENT: str(os.getpid())}
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            return subprocess.Popen(words, **streams, env=env, pass_fds=[self._lock])

    def ended(self) -> bool:
        """Whether it has ended; if so, a failure is noted and the cell is released."""
        code = 0 if self.process is None else self.process.poll()
        if code is None:
            return False
        if code < 0 or code == STOPPED:
            if (steps := run_state.reached(self.folder)) > self.steps:
                self.attempts, self.steps = 0, steps
            if self.attempts < ATTEMPTS:
                self.process = self._started()
                return False
        run_state.note_failure(self.cell, self.folder, self._error(code), code == 1 and self._crashed())
        self._held.close()
        return True

    def stop(self) -> None:
        """Ask it to stop at its next checkpoint."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        """Wait until it has stopped, and release the cell."""
        if self.process:
            self.process.wait()
        self._held.close()

    def _error(self, code: int) -> str:
        if code == STOPPED:
            return f"stopped by a signal {self.attempts} times"
        if code < 0:
            cause = "; out of memory?" if -code == signal.SIGKILL else ""
            return f"killed by {processes.how_it_ended(code)} {self.attempts} times{cause}"
        if code == 0:
            return ""
        return processes.last_line(self._output()).removeprefix("pgcontrol: ") or f"exit code {code}"

    def _crashed(self) -> bool:
        """Whether an exception ended a run that had begun to train. Those of a lack of memory may not come again."""
        output = self._output()
        began = last_row(self.folder / "metrics.jsonl") is not None
        return began and "Traceback (most recent" in output and "memory" not in output.lower()

    def _output(self) -> str:
        return self.log.read_text(errors="replace").partition("\n")[2]
