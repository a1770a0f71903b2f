"""Jobs that outlast who placed them: found again, cancelled, lost; and one that submitit runs."""

import threading
from collections.abc import Collection
from pathlib import Path

import pytest
import submitit

from pgcontrol.options import InputError
from pgcontrol.sweep import run_state, work
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.cluster import Cluster
from pgcontrol.sweep.executor import Ended
from pgcontrol.sweep.on import On
from pgcontrol.sweep.slurm import Job
from tests.sweep.nodes import Quick, identical, outcomes, typed


class Threads(Cluster):
    """A cluster whose jobs are threads, each in the queue until the gate opens.

    Args:
        unseen: numbers of the jobs that end before they do anything, as where a node does not see the folder.
        killed: numbers of the jobs that end after they have begun, as where a node dies.

    Attributes:
        submitted: names of all jobs so far, in their order.
    """

    pause = 0.01

    def __init__(self, jobs: int | None = None, unseen: Collection[int] = (), killed: Collection[int] = ()):
        self.submitted, self.unseen, self.killed = list[str](), unseen, killed
        self.gate, self.queue = threading.Event(), dict[str, threading.Thread]()
        super().__init__(On(engine="slurm"), jobs)

    def names(self):
        return {name: name for name, thread in self.queue.items() if thread.is_alive()}

    def submit(self, cell: Cell, where: Path, name: str):
        job = threading.Thread(target=self._run, args=(cell, where, len(self.submitted)), daemon=True)
        self.submitted.append(cell.name)
        self.queue[name] = job
        job.start()

    def _run(self, cell: Cell, where: Path, number: int):
        self.gate.wait()
        if number in self.killed:
            run_state.log_of(cell, where).write_text("on a node\n" * (number + 1))
        elif number not in self.unseen:
            work.work(cell, where)

    def end(self, job: str):
        del self.queue[job]


class Submitit(Cluster):
    """Submitit's local executor instead of Slurm's."""

    def __init__(self):
        self.queue = dict[str, submitit.Job]()
        super().__init__(On())

    def names(self):
        return {name: job.job_id for name, job in self.queue.items() if not job.done()}

    def submit(self, cell: Cell, where: Path, name: str):
        self.queue[name] = submitit.LocalExecutor(where / ".jobs").submit(Job(), cell, where, 1)


@pytest.fixture
def quick(monkeypatch) -> Quick:
    monkeypatch.setattr(work, "PAUSE", 0.01)
    monkeypatch.setattr(work.subprocess, "Popen", made := Quick())
    return made


def test_jobs_continue_when_the_caller_leaves_and_are_found_again(sweep, tmp_path, quick):
    cluster, where = Threads(), tmp_path / "runs"
    first = cluster.run(sweep.cells, where)
    assert next(first) == frozenset()  # all in the queue, none begun
    first.close()
    assert len(cluster.names()) == len(sweep.cells)
    cluster.gate.set()
    assert set(outcomes(cluster, sweep.cells, where).values()) == {""}
    names = [cell.name for cell in sweep.cells]
    assert cluster.submitted == names
    assert sorted(quick.made) == sorted(names)


def test_two_that_place_the_same_cells_submit_each_once(sweep, tmp_path, quick):
    cluster, where = Threads(), tmp_path / "runs"
    both = [cluster.run(sweep.cells, where) for _ in range(2)]
    for running in both:
        next(running)
    cluster.gate.set()
    for running in both:
        assert len([outcome for outcome in running if isinstance(outcome, Ended)]) == len(sweep.cells)
    assert sorted(cluster.submitted) == sorted(quick.made) == sorted(cell.name for cell in sweep.cells)


def test_no_more_jobs_are_queued_than_asked(sweep, tmp_path, quick):
    cluster = Threads(jobs=2)
    running = cluster.run(sweep.cells, tmp_path / "runs")
    next(running)
    assert len(cluster.submitted) == 2
    cluster.gate.set()
    assert len([outcome for outcome in running if isinstance(outcome, Ended)]) == len(sweep.cells)


def test_jobs_are_cancelled_by_the_folder_of_their_runs(sweep, tmp_path, quick):
    cluster = Threads()
    for folder in ("runs", "runs/search/t0", "runs2"):
        next(cluster.run(sweep.cells[:1], (tmp_path / folder)))
    assert cluster.cancel(tmp_path / "runs") == 2
    assert [Path(name).parent.name for name in cluster.names()] == ["runs2"]
    assert cluster.cancel(tmp_path / "runs") == 0


def test_the_command_lists_what_runs_and_cancels_it(sweep, tmp_path, quick, monkeypatch):
    cluster, words = Threads(), ("compare", sweep.path, "--runs", tmp_path / "runs", "--on", "slurm")
    monkeypatch.setattr("pgcontrol.reporting.compare.executor_of", lambda on, jobs: cluster)
    next(cluster.run(sweep.cells, tmp_path / "runs"))
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "alive", interrupted)
        code, said = typed(*words)
    assert code == 130
    assert "queued and running jobs continue; --cancel ends them\n" in said
    assert f"stopped; to continue: pgcontrol compare {sweep.path}" in said
    assert typed(*words, "--cancel") == (0, "4 jobs cancelled; their checkpoints are kept\n")
    assert cluster.names() == {}


def interrupted(*_):
    raise KeyboardInterrupt


def test_what_one_command_cancels_another_does_not_place_again(sweep, tmp_path, quick):
    cluster, other = Threads(jobs=1), Threads()
    running = cluster.run(sweep.cells, tmp_path / "runs")
    next(running)
    other.queue = cluster.queue
    assert other.cancel(tmp_path / "runs") == 1
    with pytest.raises(InputError, match=r"^the jobs of this sweep were cancelled"):
        list(running)


def test_a_folder_that_nodes_do_not_share_is_one_line_and_ends_all(sweep, tmp_path, quick):
    cluster, name = Threads(jobs=1, unseen={0}), sweep.cells[0].name
    cluster.gate.set()
    message = (
        f"^{name}: its job ended before it began: it was cancelled, or its node cannot access {tmp_path / 'runs'}$"
    )
    with pytest.raises(InputError, match=message):
        list(cluster.run(sweep.cells, tmp_path / "runs"))
    assert cluster.submitted == [name]
    assert quick.made == []


def test_a_single_cancelled_job_is_the_only_failure(sweep, tmp_path, quick):
    cluster = Threads(jobs=1, unseen={1})
    cluster.gate.set()
    reports = outcomes(cluster, sweep.cells, tmp_path / "runs")
    assert reports.pop(sweep.cells[1].name).startswith("its job ended before it began")
    assert [*reports.values()] == ["", "", ""]


@pytest.mark.parametrize(("killed", "error"), [(2, ""), (3, "its job was lost 3 times without a new checkpoint")])
def test_a_cell_whose_node_died_is_placed_again(sweep, tmp_path, quick, killed, error):
    cluster, cell = Threads(killed=range(killed)), sweep.cells[0]
    cluster.gate.set()
    assert outcomes(cluster, [cell], tmp_path / "runs") == {cell.name: error}
    assert cluster.submitted == [cell.name] * 3
    assert len(quick.made) == 3 - killed


@pytest.mark.slow
def test_a_job_of_submitit_is_the_run_that_it_is_here(sweep, tmp_path):
    cell, where = sweep.cells[0], tmp_path / "runs"
    assert outcomes(Submitit(), [cell], where) == {cell.name: ""}
    identical(where / cell.name, cell)
