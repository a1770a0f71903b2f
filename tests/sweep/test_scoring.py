"""How a final policy is scored: from start states common to all runs, and only such scores are compared."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import pgcontrol
from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.machine.files import unsealed
from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.statistics import enough, standard_error
from pgcontrol.options import InputError
from pgcontrol.reporting.compare import report
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep import results
from pgcontrol.sweep.compare import run
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import SWEEP, Asked, InProcess, Ready

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
QUIET = Terminal(quiet=True)
OWN = ("evaluation_seed", "episodes", "error")  # columns that rows with their own start states did not have


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep whose runs were made, with their folders."""
    where = tmp_path_factory.mktemp("made")
    (where / "heads.yaml").write_text(SWEEP)
    sweep = read_sweep(where / "heads.yaml")
    assert not run(sweep, InProcess(), where / "runs", QUIET).failed
    return sweep, where / "runs"


@pytest.fixture
def copied(made, tmp_path):
    """The same sweep with a results file of its own, and the run folders."""
    sweep, runs = made
    for suffix in (".yaml", ".jsonl"):
        (tmp_path / f"heads{suffix}").write_text(sweep.path.with_suffix(suffix).read_text())
    return read_sweep(tmp_path / "heads.yaml"), runs


def aged(sweep, count: int) -> None:
    """Let the first rows be from before start states were common."""
    lines = [unsealed(json.loads(line)) for line in sweep.results.read_text().splitlines()]
    for line in lines[:count]:
        for name in OWN:
            line.pop(name)
    sweep.results.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_row_has_what_eval_says(made):
    """For every seed of the training, to the bit."""
    sweep, runs = made
    rows = results.read(sweep)
    assert len({key.seed for key in rows}) > 1
    for key, row in rows.items():
        played = pgcontrol.evaluate(runs / key.name, episodes=2)
        assert (row.evaluation_seed, row.episodes) == (played.seed, 2) == (EVALUATION_SEED, 2)
        assert row.evaluated == row.score == played.summary()["mode"]["eval/mean_reward"]
        assert row.sampled == played.summary()["sampled"]["eval/mean_reward"]
        assert row.error == standard_error(played.agents["mode"].returns)


def test_the_number_of_episodes_that_eval_plays_is_that_of_a_sweep(tmp_path):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("episodes: 2\n", "", 1))
    (default,) = {cell.episodes for cell in read_sweep(tmp_path / "heads.yaml").cells}
    assert default == pgcontrol.arguments.EvaluateOptions.episodes == 100


def test_rows_of_own_start_states_are_not_done(copied, capsys):
    sweep, _ = copied
    aged(sweep, 4)
    assert results.read(sweep) == {}
    executor = Asked()
    where = sweep.path.parent / "none"
    assert not run(sweep, executor, where, Terminal()).failed
    assert {cell.key for cell in executor.cells} == {cell.key for cell in sweep.cells}
    assert "4 rows scored from their own start states, as older versions did" in capsys.readouterr().out
    assert len(sweep.results.read_text().splitlines()) == 8  # they stay
    assert not run(sweep, Asked(), where, Terminal()).failed
    assert "their own start states" not in capsys.readouterr().out  # all of them have been replaced


def test_rows_of_own_start_states_are_reported_as_such_and_alone(copied):
    sweep, _ = copied
    aged(sweep, 4)
    found = report(sweep.path, clips="none")
    assert (len(found.queries.rows), found.missing, found.left_out) == (4, [], "")
    assert "from its own start states" in sweep.path.with_suffix(".md").read_text()


@pytest.mark.parametrize("count", [1, 3])
def test_no_report_mixes_the_two(copied, count):
    sweep, _ = copied
    aged(sweep, count)
    found = report(sweep.path, clips="none")
    assert len(found.queries.rows) == 4 - count
    assert "scored from their own start states" in found.left_out
    assert "over 2 episodes from start states common to all runs" in sweep.path.with_suffix(".md").read_text()


@pytest.mark.parametrize("old", [True, False], ids=["own start states", "fewer episodes"])
def test_runs_that_are_kept_are_scored_again_and_not_made_again(copied, old):
    sweep, runs = copied
    before = {key: row.score for key, row in results.read(sweep).items()}
    aged(sweep, 4 * old)
    sweep.path.write_text(SWEEP.replace("episodes: 2\n", f"episodes: {2 if old else 3}\n", 1))
    for folder in runs.iterdir() if old else ():  # as a run's outcome was
        kept = json.loads((folder / "outcome.json").read_text())
        (folder / "outcome.json").write_text(json.dumps({k: v for k, v in kept.items() if k not in (*OWN, "checksum")}))
    now = read_sweep(sweep.path)
    assert results.read(now) == {}
    executor = Asked()
    assert not run(now, executor, runs, QUIET).failed
    assert executor.cells == []
    rows = results.read(now)
    assert {row.episodes for row in rows.values()} == {2 if old else 3}
    assert ({key: row.score for key, row in rows.items()} == before) == old


def test_a_task_can_have_more_episodes_than_the_others(copied):
    """Only its runs are scored again, and the report says which are which."""
    sweep, runs = copied
    sweep.path.write_text(SWEEP.replace("episodes: 2\n", "episodes: {Reacher-v5: 3, InvertedPendulum-v5: 2}\n", 1))
    now = read_sweep(sweep.path)
    assert {key.env for key in results.read(now)} == {"InvertedPendulum-v5"}
    executor = Asked()
    assert not run(now, executor, runs, QUIET).failed
    assert executor.cells == []
    rows = results.read(now)
    assert {(key.env, row.episodes) for key, row in rows.items()} == {("Reacher-v5", 3), ("InvertedPendulum-v5", 2)}
    assert "over 3 episodes (2 on InvertedPendulum-v5) from start states common" in report(now.path).queries.scoring


def test_a_task_that_is_not_named_has_the_usual_number(tmp_path):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("episodes: 2\n", "episodes: {Reacher-v5: 3}\n", 1))
    cells = read_sweep(tmp_path / "heads.yaml").cells
    assert {(cell.key.env, cell.episodes) for cell in cells} == {("Reacher-v5", 3), ("InvertedPendulum-v5", 100)}


@pytest.mark.parametrize(("episodes", "lent"), [(2, 2), (3, 0)])
def test_a_row_is_borrowed_where_it_was_scored_alike(copied, episodes, lent):
    sweep, _ = copied
    other = sweep.path.with_name("other.yaml")
    other.write_text(SWEEP.replace("episodes: 2\n", f"episodes: {episodes}\nborrow: heads.yaml\n", 1))
    executor = Asked()
    assert not run(read_sweep(other), executor, other.with_name("lent"), QUIET).failed
    assert len(executor.cells) == (0 if lent else 4)
    aged(sweep, 4)
    other.with_suffix(".jsonl").unlink()
    executor = Asked()
    assert not run(read_sweep(other), executor, other.with_name("made"), QUIET).failed
    assert len(executor.cells) == 4


def test_a_run_that_diverged_is_done_without_a_policy(sweep, tmp_path):
    class Diverging(Ready):
        def run(self, cells, where):
            for ended in super().run(cells, where):
                (ended.folder / "outcome.json").unlink()
                RunFolder(ended.folder).write_manifest(status="diverged")
                yield ended

    assert not run(sweep, Diverging(), tmp_path / "runs", QUIET).failed
    rows = results.read(sweep)
    assert {(row.score, row.evaluated, row.episodes) for row in rows.values()} == {(7.54, None, 0)}
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("episodes: 2", "episodes: 0", "episodes = 0: must be at least 1"),
        ("episodes: 2", "episodes: many", "episodes"),
        ("episodes: 2", "episodes: {Hoper-v5: 2}", "episodes: 'Hoper-v5' is not a task of the grid"),
        ("episodes: 2", "episodes: {Reacher-v5: 0}", "episodes: Reacher-v5 = 0: must be at least 1"),
        ("episodes: 2", "episodes: [2]", "episodes = [2]"),
        ("episodes: 2", "episode: 2", "unknown key 'episode'; did you mean 'episodes'?"),
        ("{video: false", "{video: false, score_episodes: 3", "score_episodes = 3: set `episodes` of the sweep"),
    ],
)
def test_what_is_wrong_with_episodes_is_one_line(tmp_path, old, new, line):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(line)) as error:
        read_sweep(tmp_path / "heads.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("spread", "error", "episodes"), [(1.58, 0.45, 100), (100.0, 20.1, 10), (5.0, 0.1, 100)])
def test_enough_episodes_bring_the_error_under_a_fifth_of_the_spread(spread, error, episodes):
    n = enough(spread, error, episodes)
    assert error * (episodes / n) ** 0.5 <= spread / 5 + 1e-9
    assert n == 1 or error * (episodes / (n - 1)) ** 0.5 > spread / 5


def test_enough_where_nothing_differs():
    assert enough(0.0, 0.0, 100) == 1
    assert enough(0.0, 1.0, 100) == float("inf")
    assert standard_error(np.ones(1)) is None


def test_the_benchmark_has_one_recipe_for_all_eleven_tasks_with_ten_seeds():
    sweep = read_sweep(EXPERIMENTS / "benchmark.yaml")
    assert len(sweep.envs()) == 11
    assert set(sweep.references) == set(sweep.envs())
    assert len(sweep.arms()) == 1
    assert {key.seed for key in (cell.key for cell in sweep.cells)} == set(range(10))
    episodes = {cell.key.env: cell.episodes for cell in sweep.cells}
    # their scores differ more between start states than between policies
    assert episodes == dict.fromkeys(sweep.envs(), 100) | {"Reacher-v5": 1000, "Pusher-v5": 1000}
