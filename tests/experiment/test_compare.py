"""A sweep: what it runs, and what it leaves."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from pgcontrol.cli import main
from pgcontrol.experiment import results
from pgcontrol.experiment.board import Board
from pgcontrol.experiment.compare import compare
from pgcontrol.experiment.executor import Executor, Local, Outcome, begun
from pgcontrol.experiment.expected import STARTING, _seconds, expected, wall
from pgcontrol.experiment.sweep import read_sweep
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from tests.experiment.worlds import SWEEP


class Unmeasured(Local):
    """Begins at once."""

    def expected(self, cells):
        return {}


def test_runs_what_is_missing_and_nothing_else(sweep, tmp_path):
    assert compare(sweep, Unmeasured(2), tmp_path / "runs", Console(quiet=True), clips="none") == 0
    rows = results.read(sweep)
    assert set(rows) == {cell.key for cell in sweep.cells}
    for row in rows.values():
        assert row["steps"] == 512
        assert len(row["curves"]["train/std"]) == len(row["curves"]["steps"]) == 4
        assert row["return"] is not None
    text = (tmp_path / "heads.md").read_text()
    assert "| Reacher-v5 | gaussian |" in text
    assert str(tmp_path) not in text
    assert (tmp_path / "heads.png").stat().st_size > 10_000
    assert len((tmp_path / "heads.csv").read_text().splitlines()) == 5

    class Nobody(Executor):
        def run(self, cells, where):
            assert cells == []
            yield from ()

    assert compare(sweep, Nobody(), tmp_path / "runs", Console(quiet=True), clips="none") == 0
    (tmp_path / "heads.md").unlink()
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(sweep.path), "--clips", "none"])
    assert (tmp_path / "heads.md").read_text() == text
    # a row lost is taken from the finished run folder, and a changed question is another cell
    sweep.results.unlink()
    assert compare(sweep, Nobody(), tmp_path / "runs", Console(quiet=True), clips="none") == 0
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("epochs: 1", "epochs: 2"))
    assert results.read(read_sweep(tmp_path / "heads.yaml")) == {}


def test_a_failure_is_told_with_its_last_words_and_the_others_go_on(sweep, tmp_path, capsys):
    blocked = tmp_path / "runs" / sweep.cells[0].name
    blocked.parent.mkdir()
    blocked.touch()  # a file where the run folder should be
    assert compare(sweep, Unmeasured(2), tmp_path / "runs", Console(), clips="none") == 1
    out = capsys.readouterr().out
    assert f"{sweep.cells[0].name} failed: pgcontrol: run_dir" in out
    assert set(results.read(sweep)) == {cell.key for cell in sweep.cells[1:]}


def test_a_run_that_diverges_is_a_result_once_it_has_a_return(sweep, tmp_path):
    class Diverging(Executor):
        """Every run ends in its second update, those of seed 1 in the first."""

        def run(self, cells, where):
            for cell in cells:
                folder = RunFolder.create(configure(cell.settings | {"run_dir": str(where / cell.name)}))
                folder.write_manifest(status="diverged", seconds=1.0)
                row = {"step": 128, "time/total_timesteps": 128, "rollout/ep_rew_mean": -3.0}
                folder.metrics_file.write_text(json.dumps(row) + "\n" if cell.seed != 1 else "")
                yield Outcome(cell, folder.path, "train/loss became nan")

    assert compare(sweep, Diverging(), tmp_path / "runs", Console(quiet=True), clips="none") == 1
    rows = results.read(sweep)
    assert set(rows) == {cell.key for cell in sweep.cells if cell.seed != 1}
    assert all(row["diverged"] and row["steps"] == 128 for row in rows.values())
    assert "-3 †" in (tmp_path / "heads.md").read_text()


def test_a_killed_worker_resumes_from_its_checkpoint(sweep, tmp_path):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("budget: 512", "budget: 60_000"))
    cell = read_sweep(tmp_path / "heads.yaml").cells[0]
    executor, where, killed, outcomes = Local(1), tmp_path / "runs", False, []
    for outcome in executor.run([cell], where):
        if isinstance(outcome, Outcome):
            outcomes.append(outcome)
        elif not killed and begun(cell, where / cell.name):
            os.kill(_worker(where / cell.name), signal.SIGKILL)
            killed = True
    assert killed
    assert [o.error for o in outcomes] == [""]
    rows = [json.loads(line) for line in (where / cell.name / "metrics.jsonl").read_text().splitlines()]
    steps = [row["time/total_timesteps"] for row in rows]
    assert steps[-1] == 60_032
    assert steps == sorted(set(steps))


def _worker(folder) -> int:
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline") as file:
                    words = file.read()
            except OSError:
                continue
            if str(folder) in words and "pgcontrol" in words:
                return int(process)
    raise AssertionError("no worker")


def test_the_expected_time_is_told_before_anything_runs(sweep, tmp_path, capsys):
    assert compare(sweep, Local(2), tmp_path / "runs", Console(), dry=True) == 0
    out = capsys.readouterr().out
    assert "expected: about" in out
    assert "for 4 runs" in out
    assert not (tmp_path / "runs").exists()
    times = expected(sweep.cells)
    assert set(times) == {cell.key for cell in sweep.cells}
    assert all(STARTING < seconds < 100 for seconds in times.values())


def test_an_asynchronous_training_is_expected_by_its_steps():
    class Watching:
        """Tells of sixteen workers' updates at a time."""

        steps = updates = 0
        env = SimpleNamespace(time_limit=None)

        def update(self):
            time.sleep(0.002)
            self.steps += 2048
            self.updates += 16
            return {}

    settings = {"env": "InvertedPendulum-v5", "algorithm": "a3c", "total_steps": 204_800, "eval_every": 0}
    config = configure(settings | {"compile": "off"})
    assert 0.2 <= _seconds(config, Watching(), 0.05) - STARTING < 1  # pyright: ignore[reportArgumentType]


def test_wall_time_is_that_of_the_last_to_end(sweep):
    # four runs on two cores, in order: 8 | 1, 1, 1 -> 8; on one core all after another
    times = dict(zip([cell.key for cell in sweep.cells], [8.0, 1.0, 1.0, 1.0], strict=True))
    assert wall(sweep.cells, times, 2) == 8
    assert wall(sweep.cells, times, 1) == 11


def test_the_time_left_learns_from_the_runs_that_ended(sweep):
    cells = sweep.cells
    times = {cell.key: 10.0 for cell in cells}
    # the first took twice what was expected; the second is half done: 10 for its rest, 20 each for two more
    board = Board(cells, sweep.path.parent, times, jobs=1)
    board.ended[cells[0].key] = {"seconds": 20.0}
    assert board.left({cells[1].key: 0.5}) == 50


def test_the_last_verdict_on_a_run_is_kept(tmp_path):
    assert results.judged(tmp_path) == {"verdict": None, "why": None}
    RunFolder(tmp_path).write_manifest(verdict="sharp", diagnosis="sharp (because)")
    assert results.judged(tmp_path) == {"verdict": "sharp", "why": "sharp (because)"}


def test_what_is_judged_later_comes_into_the_rows(sweep, tmp_path):
    cell, other = sweep.cells[:2]
    line = {"env": cell.env, "arm": cell.arm, "verdict": "suspected", "why": "", "return": 1.0}
    for each in (cell, other):
        results.add(sweep, line | {"seed": each.seed, "settings": each.settings})
    for each, settings in ((cell, cell.settings), (other, other.settings | {"total_steps": 12})):
        folder = RunFolder.create(configure(settings | {"run_dir": str(tmp_path / each.name)}))
        folder.write_manifest(verdict="collapsed", diagnosis="collapsed (cost 5 ± 1)")
    rows = results.read(sweep)
    results.refresh(sweep, rows, tmp_path)
    assert results.read(sweep) == rows
    assert [row["verdict"] for row in rows.values()] == ["collapsed", "suspected"]  # the second folder is another run's
    assert rows[cell.key]["why"] == "collapsed (cost 5 ± 1)"
    before = sweep.results.stat().st_mtime_ns
    results.refresh(sweep, rows, tmp_path)
    assert sweep.results.stat().st_mtime_ns == before
