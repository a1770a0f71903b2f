"""Cells as processes: after an end from outside they continue, and they end together with their parent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pgcontrol.machine import locks
from pgcontrol.runs.config import configure, yaml_of
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep import run_state, work
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.executor import Ended, Executor, Local
from pgcontrol.sweep.run_state import begun
from pgcontrol.sweep.sweep import read_sweep
from pgcontrol.sweep.work import ATTEMPTS
from tests.sweep.nodes import Quick, outcomes
from tests.sweep.worlds import SWEEP


@pytest.fixture
def cell(tmp_path) -> Cell:
    """A run of some seconds."""
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("budget: 512", "budget: 20_000"))
    return read_sweep(tmp_path / "heads.yaml").cells[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_ended_from_outside_resumes_from_its_checkpoint(cell, tmp_path, number):
    where, killed, outcomes = tmp_path / "runs", False, []
    for outcome in Local(1).run([cell], where):
        if isinstance(outcome, Ended):
            outcomes.append(outcome)
        elif not killed and begun(cell, where / cell.name):
            os.kill(worker(where / cell.name), number)
            killed = True
    assert killed
    assert [o.error for o in outcomes] == [""]
    rows = [json.loads(line) for line in (where / cell.name / "metrics.jsonl").read_text().splitlines()]
    steps = [row["time/total_timesteps"] for row in rows]
    assert steps[-1] == 20_096
    assert steps == sorted(set(steps))


class Scripted:
    """In place of a process: it comes to a further checkpoint, or to none, and ends with the next of the codes."""

    def __init__(self, cell: Cell, folder: Path, codes: list[int], progress: bool):
        self.cell, self.folder, self.codes, self.progress, self.started = cell, folder, codes, progress, 0

    def __call__(self, *_, **__):
        self.started += 1
        reached = self.folder / "checkpoints" / f"step_{self.started if self.progress else 1:09d}"
        reached.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml_of(configure(self.cell.settings)))
        if self.poll() == 0:
            RunFolder(self.folder).write_manifest(status="finished")
            (self.folder / "metrics.jsonl").write_text('{"time/total_timesteps": 512}\n')
        return self

    def poll(self):
        return self.codes[min(self.started, len(self.codes)) - 1]


@pytest.mark.parametrize(
    ("codes", "progress", "started", "error"),
    [
        ([-9] * 10 + [0], True, 11, ""),
        ([130] * 10 + [0], True, 11, ""),
        ([-9], False, ATTEMPTS + 1, "killed by SIGKILL 3 times; out of memory?"),
        ([-11], False, ATTEMPTS + 1, "killed by SIGSEGV 3 times"),
        ([130], False, ATTEMPTS + 1, "stopped by a signal 3 times"),
        ([2], False, 1, "exit code 2"),
    ],
)
def test_attempts_are_counted_from_the_last_progress(cell, tmp_path, monkeypatch, codes, progress, started, error):
    process = Scripted(cell, tmp_path / "runs" / cell.name, codes, progress)
    monkeypatch.setattr(work.subprocess, "Popen", process)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    events = list(Local(1).run([cell], tmp_path / "runs"))
    (outcome,) = (each for each in events if isinstance(each, Ended))
    assert frozenset({cell.key}) in events
    assert (process.started, outcome.error) == (started, error)
    assert outcome.log == tmp_path / "runs" / f"{cell.name}.log"


TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in x\n'


@pytest.mark.parametrize(
    ("code", "output", "steps", "crashed"),
    [
        (1, f"{TRACEBACK}KeyError: 'x'", True, True),
        (
            1,
            f"{TRACEBACK}KeyError: 'x'",
            False,
            False,
        ),  # before training: a mistake in the code, which may be corrected
        (1, f"{TRACEBACK}RuntimeError: out of memory\nmore lines", True, False),
        (1, "pgcontrol: No space left on device", True, False),
        (2, f"{TRACEBACK}KeyError: 'x'", True, False),
    ],
)
def test_only_an_exception_in_training_would_come_again(cell, tmp_path, monkeypatch, code, output, steps, crashed):
    folder = tmp_path / "runs" / cell.name

    class Failing(Scripted):
        def __call__(self, *_, **__):
            if steps:
                (folder / "metrics.jsonl").write_text('{"time/total_timesteps": 512}\n')
            with run_state.log_of(cell, folder.parent).open("a") as log:
                log.write(output)
            return super().__call__()

    folder.mkdir(parents=True)
    monkeypatch.setattr(work.subprocess, "Popen", Failing(cell, folder, [code], False))
    monkeypatch.setattr(work.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    (outcome,) = (each for each in Local(1).run([cell], folder.parent) if isinstance(each, Ended))
    assert outcome.error == output.splitlines()[-1].removeprefix("pgcontrol: ")
    assert run_state.crashed(cell, folder) is crashed


@pytest.mark.parametrize("left", ["", ".log"])
def test_what_another_works_on_waits_and_is_taken_up_when_that_was_killed(cell, tmp_path, monkeypatch, left):
    folder = tmp_path / "runs" / cell.name
    process = Scripted(cell, folder, [0], False)
    monkeypatch.setattr(work.subprocess, "Popen", process)
    folder.mkdir(parents=True)
    folder.with_name(f"{cell.name}.log").touch()
    running = Local(1).run([cell], tmp_path / "runs")
    with locks.alone(folder.with_name(f"{cell.name}{left}"), ""):
        seen = {cell.key} if left else set()  # a worker without a sweep is on its last update
        assert [next(running), next(running)] == [seen, seen]
        assert process.started == 0
    assert [outcome.error for outcome in running if isinstance(outcome, Ended)] == [""]


@pytest.fixture
def cells(sweep, monkeypatch) -> list[Cell]:
    monkeypatch.setattr(Executor, "pause", 0.01)
    return sweep.cells


@pytest.mark.parametrize("fail", [None, 1])
def test_executors_share_cells_and_each_reports_how_all_ended(cells, tmp_path, monkeypatch, fail):
    quick = Quick(fail)
    monkeypatch.setattr(work.subprocess, "Popen", quick)
    with ThreadPoolExecutor(3) as pool:
        events = [*pool.map(lambda _: outcomes(Local(1), cells, tmp_path / "runs"), range(3))]
    expected = {cell.name: "exit code 2" if cell.key.seed == fail else "" for cell in cells}
    assert events == [expected] * 3
    assert sorted(quick.made) == sorted(expected)  # each once


def test_a_cell_that_failed_before_is_tried_again(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(work.subprocess, "Popen", Quick(fail=0))
    failed = outcomes(Local(2), cells, tmp_path / "runs")
    assert failed[cells[0].name] == "exit code 2"
    monkeypatch.setattr(work.subprocess, "Popen", quick := Quick())
    assert set(outcomes(Local(2), cells, tmp_path / "runs").values()) == {""}
    assert quick.made == [cells[0].name]
    assert run_state.failure(cells[0], tmp_path / "runs" / cells[0].name) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_workers_end_with_the_sweep(tmp_path, number):
    file, where = tmp_path / "heads.yaml", tmp_path / "runs"
    file.write_text(SWEEP.replace("budget: 512", "budget: 100_000_000").replace("eval_every: 512", "eval_every: 0"))
    cell = read_sweep(file).cells[0]
    words = [sys.executable, "-m", "pgcontrol", "compare", str(file), "--runs", str(where), "--jobs", "1"]
    sweep = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: begun(cell, where / cell.name))
        pid = worker(where / cell.name)
    finally:
        sweep.send_signal(number)
    out, _ = sweep.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert sweep.returncode == 130
        assert f"stopped; to continue: pgcontrol compare {file} --jobs 1 --runs {where}\n" in out
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert RunFolder(where / cell.name).manifest()["status"] == "stopped"


def until(holds) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def worker(folder) -> int:
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline") as file:
                    words = file.read()
            except OSError:
                continue
            if f"--run_dir\0{folder}\0" in words or f"resume\0{folder}\0" in words:
                return int(process)
    raise AssertionError("no worker")


class Busy(Executor):
    """Its only job, the first cell, never ends."""

    pause = 0.001

    def __init__(self):
        self.placed = set[Key]()

    def alive(self, cells, where):
        return self.placed

    def place(self, cell, where):
        self.placed = {cell.key}
        return True


def test_cells_that_wait_are_seldom_looked_at_while_every_job_is_at_work(cells, tmp_path, monkeypatch):
    """Looking at hundreds of them five times a second takes a tenth of a core, for the whole duration of a sweep."""
    looked = Counter[Key]()
    monkeypatch.setattr(run_state, "held", lambda cell, where: bool(looked.update([cell.key])))
    running = Busy().run(cells, tmp_path)
    for _ in range(40):
        next(running)
    running.close()
    assert looked[cells[0].key] == 40
    assert {looked[cell.key] for cell in cells[1:]} == {1}
