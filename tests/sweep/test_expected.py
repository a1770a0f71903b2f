"""How long a sweep will take: printed before and while it runs."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from pgcontrol.learning.rule import Diverged
from pgcontrol.machine.terminal import Terminal
from pgcontrol.reporting.compare import carry_out
from pgcontrol.runs.config import configure
from pgcontrol.sweep.board import Board, wall
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.executor import Local
from pgcontrol.sweep.expected import STARTING, _seconds, expected
from pgcontrol.training.learner import Learner
from tests.sweep.worlds import row_of


@pytest.mark.parametrize("error", [Diverged, FloatingPointError])
def test_an_arm_that_diverges_stops_no_other(sweep, monkeypatch, error):
    def diverge(*_):
        raise error("nan")

    monkeypatch.setattr(Learner, "update", diverge)
    assert set(expected(sweep.cells).values()) == {STARTING}


def test_an_arm_that_diverges_at_once_stops_no_other(sweep):
    cells = [Cell(cell.key, cell.settings | {"algorithm.learning_rate": 1e30}) for cell in sweep.cells[:1]]
    assert expected(cells) == {cells[0].key: STARTING}


@pytest.mark.slow
def test_the_expected_time_is_printed_before_anything_runs(sweep, tmp_path, capsys):
    assert carry_out(sweep, Local(2), tmp_path / "runs", Terminal(), dry=True).exit_code == 0
    out = capsys.readouterr().out
    assert out.index("measuring the speed") < out.index("expected: about")
    assert "for 4 runs" in out
    assert "with the search" not in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heads.yaml"]
    times = expected(sweep.cells)
    assert set(times) == {cell.key for cell in sweep.cells}
    assert all(STARTING < seconds < 100 for seconds in times.values())


def test_an_asynchronous_training_is_expected_by_its_steps():
    class Watching:
        """Reports the updates of sixteen workers at once."""

        steps = updates = 0
        env = SimpleNamespace(time_limit=None)

        def update(self):
            time.sleep(0.002)
            self.steps += 2048
            self.updates += 16
            return {}

    settings = {"env": "InvertedPendulum-v5", "algorithm": "a3c", "total_steps": 204_800, "eval_every": 0}
    config = configure(settings | {"compile": "off"})
    watching: Any = Watching()
    assert 0.2 <= _seconds(config, watching, watching, 0.05) - STARTING < 1


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
    board.ended[cells[0].key] = row_of(cells[0], seconds=20.0)
    assert board.left({cells[1].key: 0.5}) == 50


def test_only_what_runs_is_shown_to_run(sweep):
    cells = sweep.cells
    for cell in cells[:3]:  # all begun, one of them running
        (folder := sweep.path.parent / cell.name).mkdir()
        (folder / "metrics.jsonl").write_text('{"time/total_timesteps": 256, "time/fps": 900.0}\n')
    table = Board(cells, sweep.path.parent).table(frozenset({cells[1].key}))
    assert list(table.columns[0].cells) == [cells[1].name]
    assert str(table.caption).startswith("3 waiting")
