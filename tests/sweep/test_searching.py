"""A running search: its trials, each made once, and its files."""

import dataclasses
import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from pgcontrol.cli import main
from pgcontrol.options import InputError
from pgcontrol.runs import recommended
from pgcontrol.sweep import found, journal, run_state, searching, trials
from pgcontrol.sweep.executor import Ended
from pgcontrol.sweep.search import PRUNERS, SAMPLERS
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.searches import (
    GRID,
    RATE,
    SEARCH,
    Scripted,
    TwoTasks,
    rows,
    search,
    search_of,
    text,
    two_tasks,
    written,
)


@pytest.mark.parametrize(
    ("sampler", "pruner"), [*((s, "none") for s in SAMPLERS), *(("tpe", p) for p in PRUNERS if p != "none")]
)
def test_every_arm_has_its_trials_and_the_best_is_used(tmp_path, sampler, pruner):
    space = {"space": GRID} if sampler == "grid" else {}
    sweep, executor = written(tmp_path, text(sampler=sampler, pruner=pruner, **space)), Scripted()
    assert search(sweep, executor)
    made = rows(sweep)
    assert sorted((row.arm, row.number) for row in made) == [(arm, n) for arm in ("bins", "gaussian") for n in range(4)]
    assert all(row.finished for row in made) or pruner != "none"
    for arm in ("gaussian", "bins"):
        best = min(
            (row for row in made if row.arm == arm and row.finished),
            key=lambda r: abs(math.log10(r.settings[RATE]) + 3),
        )
        kept = yaml.safe_load(found.file_of(sweep.path).read_text())[arm]
        assert kept["settings"] == best.settings
        assert kept["trial"] == best.number
        assert kept["seeds_differ_by"] == pytest.approx(math.sqrt(0.5) / 950, rel=0.2)
        (cell,) = [cell for cell in read_sweep(sweep.path).cells if cell.key.arm == arm]
        assert cell.settings[RATE] == best.settings[RATE] == cell.config.algorithm.options.learning_rate
        assert cell.origins[RATE] == "search"
        assert cell.origins["head"] == "arm"
    assert search(sweep, Scripted())  # nothing is left to make
    assert rows(sweep) == made
    assert found.answers(found.file_of(sweep.path), search_of(sweep))


def test_a_found_setting_overrides_the_recommendation_but_not_the_user(tmp_path):
    sweep = written(tmp_path, text(space=GRID, sampler="grid"))
    assert search(sweep, Scripted())
    own = SEARCH.replace("{head: binned}", "{head: binned, algorithm.learning_rate: 0.5}")
    cells = {cell.key.arm: cell for cell in written(tmp_path, own).cells}
    assert cells["bins"].settings[RATE] == 0.5
    assert cells["bins"].origins[RATE] == "arm"
    assert cells["gaussian"].settings[RATE] == 1e-3


def test_a_hopeless_trial_is_stopped_by_its_evaluations(tmp_path):
    rates = [2e-3, 5e-4, 1e-3, 0.1]  # the last is far off
    tree = yaml.safe_load(text(space={RATE: rates}, sampler="grid"))
    del tree["arms"]["bins"]
    sweep, executor, said = written(tmp_path, yaml.safe_dump(tree)), Scripted(), list[str]()
    assert search(sweep, executor, said)
    last = rows(sweep)[-1]
    assert (last.state, last.settings) == ("stopped early", {RATE: 0.1})
    assert executor.stopped == ["t3-gaussian/InvertedPendulum-v5-gaussian-s100"]  # and seed 101 never begins
    assert [stage for stage, _ in last.values] == [1, 2]  # not before half of the first run
    assert last.steps == 256
    assert "gaussian, trial 3: stopped early: at 0.0" in "\n".join(said)
    assert "t3-gaussian/InvertedPendulum-v5-gaussian-s100" not in executor.made


def test_no_task_alone_stops_a_trial(tmp_path):
    """The last trial is the worst on the first task, and stays until it was made once on each."""
    tree = two_tasks(space={RATE: [2e-3, 5e-4, 1e-3, 0.1]}, sampler="grid")
    del tree["arms"]["bins"]
    sweep, executor = written(tmp_path, yaml.safe_dump(tree)), TwoTasks()
    assert search(sweep, executor)
    mine = [name.split("/")[1] for name in executor.made if name.startswith("t0")]
    assert mine == [f"{task}-gaussian-s{seed}" for seed in (100, 101) for task in ("InvertedPendulum-v5", "Reacher-v5")]
    last = rows(sweep)[-1]
    assert last.state == "stopped early"
    assert [stage for stage, _ in last.values] == list(range(1, 9))
    assert [name for name in executor.made if name.startswith("t3")] == [f"t3-gaussian/{mine[0]}"]
    assert executor.stopped == [f"t3-gaussian/{mine[1]}"]  # at its last evaluation


def test_ranks_need_no_reference(tmp_path):
    tree = yaml.safe_load(text(space={RATE: [1e-4, 1e-3, 0.1, 2e-3]}, sampler="grid", score="rank", pruner="none"))
    del tree["search"]["reference"], tree["arms"]["bins"]
    sweep = written(tmp_path, yaml.safe_dump(tree))
    assert search(sweep, Scripted())
    assert [row.score for row in rows(sweep)] == pytest.approx([1 / 3, 1, 0, 2 / 3])


def test_sobols_points_lie_evenly(tmp_path):
    sweep = written(tmp_path, text(sampler="sobol", trials=8, pruner="none"))
    assert search(sweep, Scripted(jobs=2))
    for arm in ("gaussian", "bins"):  # of eight points there is one in each eighth, along every axis
        rates = [math.log10(row.settings[RATE]) for row in rows(sweep) if row.arm == arm]
        assert sorted(int(4 * (rate + 4)) for rate in rates) == list(range(8))
    assert sorted(row.settings["head.bins"] for row in rows(sweep) if row.arm == "bins") == [5] * 4 + [7] * 4


def test_searches_side_by_side_make_no_trial_twice(tmp_path):
    sweep, executors = written(tmp_path, text(pruner="none")), [Scripted(jobs=2), Scripted(jobs=2)]
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(lambda executor: search(sweep, executor), executors))
    made = [name for executor in executors for name in executor.made]
    assert len(made) == len(set(made)) == 16
    assert all(executor.made for executor in executors)
    assert sorted((row.arm, row.number) for row in rows(sweep)) == [
        (arm, n) for arm in ("bins", "gaussian") for n in range(4)
    ]


class Dying(Scripted):
    """Its process is killed, as simulated, during the n-th run."""

    def __init__(self, runs: int):
        super().__init__()
        self.left = runs

    def run(self, cells, where):
        for outcome in super().run(cells, where):
            if isinstance(outcome, Ended):
                self.left -= 1
            elif not self.left:
                raise SystemExit("killed")
            yield outcome


class Resuming(Scripted):
    """Continues with the files in a run's folder."""

    def run(self, cells, where):
        for cell in cells:
            shutil.rmtree(where / cell.name, ignore_errors=True)
        yield from super().run(cells, where)


@pytest.mark.parametrize("runs", [1, 6])
def test_after_a_kill_no_trial_is_lost_or_made_twice(tmp_path, runs):
    sweep, first, second = written(tmp_path, text(pruner="none")), Dying(runs), Resuming()
    with pytest.raises(SystemExit):
        search(sweep, first)
    before = rows(sweep)
    assert len(before) == runs // 2
    assert search(sweep, second)
    assert all(row in rows(sweep) for row in before)
    assert len(set(first.made + second.made)) == len(first.made + second.made) == 16
    resumed = rows(sweep)
    shutil.rmtree(tmp_path / "search")
    trials.file_of(sweep.path).unlink()
    assert search(sweep, Scripted())  # never killed
    assert [row.settings for row in rows(sweep)] == [row.settings for row in resumed]


def test_trials_outlive_their_journal_and_more_may_be_asked_for(tmp_path):
    sweep = written(tmp_path)
    assert search(sweep, Scripted())
    shutil.rmtree(tmp_path / "search")  # as in a fresh clone
    more, executor = written(tmp_path, text(trials=6)), Scripted()
    assert not found.answers(found.file_of(more.path), search_of(more))
    before = rows(sweep)
    assert search(more, executor)
    assert {name.split("-")[0] for name in executor.made + executor.stopped} == {"t4", "t5"}
    assert [row for row in rows(more) if row.number < 4] == before


def test_trials_with_older_defaults_are_mentioned(tmp_path, monkeypatch):
    sweep = written(tmp_path)
    assert search(sweep, Scripted())
    assert searching.outdated(sweep) == ""
    now = recommended.of
    monkeypatch.setattr(recommended, "of", lambda *of: now(*of) | {RATE: 0.01})  # it is searched, so it does not matter
    assert searching.outdated(sweep) == ""
    monkeypatch.setattr(recommended, "of", lambda *of: now(*of) | {"algorithm.gamma": 0.98})
    said = "search: 8 trials made with older defaults: they still count; delete s.search.jsonl, s.found.yaml and the"
    assert searching.outdated(sweep).startswith(said)
    older = [dataclasses.replace(row, defaults="") for row in rows(sweep)]
    trials.write(trials.file_of(sweep.path), older)
    assert searching.outdated(sweep) == ""  # not known


@pytest.mark.parametrize("content", ["3", "gaussian: 3", "gaussian: {settings: 3}", "gaussian: ["])
def test_a_damaged_file_of_found_settings_is_one_line(tmp_path, content):
    (tmp_path / "s.found.yaml").write_text(content)
    with pytest.raises(InputError, match=r"s\.found\.yaml: ") as error:
        written(tmp_path)
    assert "\n" not in str(error.value)


def test_a_damaged_row_of_a_trial_is_one_line(tmp_path):
    sweep = written(tmp_path)
    trials.file_of(sweep.path).write_text('{"arm": "gaussian"}\n')
    with pytest.raises(InputError, match=r"s\.search\.jsonl: line 1 is not a valid trial; delete it"):
        search(sweep, Scripted())


def test_without_optuna_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"search: needs optuna: pip install 'pgcontrol\[search\]'"):
        search(written(tmp_path), Scripted())


def test_a_run_that_diverges_ends_its_trial(tmp_path):
    class Diverging(Scripted):
        def run(self, cells, where):
            for outcome in super().run(cells, where):
                if isinstance(outcome, Ended) and "t1-" in str(where):
                    manifest = outcome.folder / "manifest.json"
                    kept = json.loads(manifest.read_text()) | {"status": "diverged"}
                    kept.pop("checksum")
                    manifest.write_text(json.dumps(kept))
                yield outcome

    sweep = written(tmp_path, text(pruner="none"))
    assert search(sweep, Diverging())
    assert [row.state for row in rows(sweep) if row.number == 1] == ["diverged"] * 2


def test_a_trial_that_fails_is_tried_again_by_the_same_command(tmp_path):
    class Failing(Scripted):
        def run(self, cells, where):
            if "t2-" in str(where):
                yield Ended(cells[0], where / cells[0].name, "out of memory")
            else:
                yield from super().run(cells, where)

    sweep, said = written(tmp_path, text(pruner="none")), list[str]()
    assert not search(sweep, Failing(), said)
    assert "gaussian, trial 2 failed: out of memory" in said
    assert said[-1] == "2 trials of the search failed; the same command tries them again"
    assert not found.file_of(sweep.path).exists()
    assert search(sweep, Scripted())
    assert len(rows(sweep)) == 8


def test_a_trial_whose_training_crashes_has_a_row_and_is_not_repeated(tmp_path):
    """Its seeds would raise the same exception again, and without its row the reported runs could never begin."""

    class Crashing(Scripted):
        def run(self, cells, where):
            if "t2-" in str(where):
                run_state.note_failure(cells[0], where / cells[0].name, "KeyError: 'x'", crashed=True)
                yield Ended(cells[0], where / cells[0].name, "KeyError: 'x'")
            else:
                yield from super().run(cells, where)

    sweep = written(tmp_path, text(pruner="none"))
    assert search(sweep, Crashing())
    assert [(row.state, row.why) for row in rows(sweep) if row.number == 2] == [("crashed", "KeyError: 'x'")] * 2
    assert found.answers(found.file_of(sweep.path), search_of(sweep))


def test_tpe_begins_with_the_defaults_and_then_what_it_should_try_first(tmp_path):
    tries = [{RATE: 2e-3}, {RATE: 5e-3, "head.bins": 7}]
    sweep = written(tmp_path, text(try_first=tries, trials=6, pruner="none"))
    assert search(sweep, Scripted())
    made = {(row.arm, row.number): row.settings for row in rows(sweep)}
    assert [made["gaussian", n] for n in (1, 2)] == [{RATE: 2e-3}, {RATE: 5e-3}]  # it has no bins
    assert [made["bins", n] for n in (1, 2)] == [made["bins", n] | each for n, each in enumerate(tries, start=1)]
    assert len({str(settings) for (arm, _), settings in made.items() if arm == "bins"}) == 6
    assert len({str(settings) for (arm, _), settings in made.items() if arm == "gaussian"}) == 6
    without = written(tmp_path, text(trials=6, pruner="none"))
    assert not found.answers(found.file_of(without.path), search_of(without))


def test_settings_that_no_run_may_have_together_are_a_trial_without_a_score(tmp_path):
    axes = {"num_envs": [4, 8], "algorithm.minibatch": [128, 256]}
    tree = yaml.safe_load(text(space=axes, sampler="grid"))
    del tree["settings"]["num_envs"], tree["settings"]["algorithm.minibatch"], tree["arms"]["bins"]
    sweep = written(tmp_path, yaml.safe_dump(tree))
    assert search(sweep, Scripted())
    assert {row.state: row.settings for row in rows(sweep) if not row.finished} == {
        "impossible": {"num_envs": 4, "algorithm.minibatch": 256}
    }
    assert [row.number for row in rows(sweep) if "algorithm.minibatch = 256: must be at most" in row.why] == [2]


def test_a_reference_no_better_than_no_torque_is_refused(tmp_path):
    sweep = written(tmp_path, text(reference={"InvertedPendulum-v5": 5}))
    with pytest.raises(InputError, match=r"reference: InvertedPendulum-v5 = 5: must be above \d+.*, the return"):
        search(sweep, Scripted())


def test_without_torque_the_task_has_the_settings_of_the_sweep(tmp_path):
    """Without noise at the start the pole falls after 29 steps; with noise it falls sooner, on average."""
    tree = yaml.safe_load(text(reference={"InvertedPendulum-v5": 29}))
    tree["settings"]["env.reset_noise_scale"], tree["grid"]["env"] = 0, "InvertedPendulum-v5"
    with pytest.raises(InputError, match=r"reference: .* must be above 29, the return without any torque"):
        search(written(tmp_path, yaml.safe_dump(tree)), Scripted())


def test_a_search_without_a_result_is_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SEARCH.split("search:")[0])
    with pytest.raises(SystemExit, match="2"):
        main(["compare", "s.yaml", "--search-only"])
    assert capsys.readouterr().err == "pgcontrol: --search-only: s.yaml has no search\n"


class Timed(Scripted):
    def expected(self, cells, say):
        return {cell.key: 30.0 for cell in cells}


def test_a_dry_run_says_how_many_trials_and_how_long(tmp_path):
    sweep, said = written(tmp_path), list[str]()
    assert searching.expect(sweep, Timed(jobs=2), said.append) == 240
    assert said == [
        "search: 4 trials for each arm (gaussian, bins), 2 runs of 512 steps per trial, 0 done",
        "expected: about 4 min for 8 trials of the search with the default settings, less if trials are stopped",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["s.yaml"]


def test_a_dry_run_of_a_search_per_task(tmp_path):
    sweep = written(tmp_path, yaml.safe_dump(two_tasks(per_task=True), sort_keys=False))
    assert searching.expect(sweep, Timed(jobs=2), print) == 30 * 2 * 2 * 4 * 2 / 2  # arms, tasks, trials, seeds; jobs


def test_each_task_may_have_its_own_settings(tmp_path):
    tree = two_tasks(per_task=True, pruner="none")
    tree["search"]["space"]["head.bins"] = {"choices": [5, 7], "arms": ["bins"]}
    sweep = written(tmp_path, yaml.safe_dump(tree, sort_keys=False))
    engine = TwoTasks()
    assert searching.search(sweep, engine, tmp_path / "search", print)
    assert len(engine.made) == 2 * 2 * 4 * 2  # arms, tasks, trials, seeds
    rows = trials.read(trials.file_of(sweep.path))
    for cell in read_sweep(sweep.path).cells:
        mine = [row for row in rows if row.arm == f"{cell.key.arm} on {cell.key.env}"]
        assert {*mine[0].returns} == {cell.key.env}
        assert ("head.bins" in mine[0].settings) == (cell.key.arm == "bins")
        chosen = max(mine, key=lambda row: row.score)
        assert {name for name, origin in cell.origins.items() if origin == "search"} == {*chosen.settings}
        assert {name: cell.settings[name] for name in chosen.settings} == chosen.settings


def test_each_task_of_the_grid_needs_its_own_trials(tmp_path):
    with pytest.raises(InputError, match=r"search: per_task: tasks: Reacher-v5 of the grid is missing"):
        written(tmp_path, SEARCH.replace("  trials: 4", "  per_task: true\n  trials: 4"))


def test_another_sweep_may_use_what_was_found(tmp_path):
    sweep = written(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text(
        "arms: {gaussian: {head: gaussian}, bins: {head: binned, head.bins: 3}}\n"
        "grid: {env: InvertedPendulum-v5, seed: 2}\nsearch: s.yaml\n"
    )
    with pytest.raises(
        InputError, match=r"search: s.yaml has found no settings yet: pgcontrol compare .*s.yaml --search-"
    ):
        read_sweep(other)
    assert searching.search(sweep, Scripted(), tmp_path / "search", print)
    here = found.read(found.file_of(sweep.path))
    for cell in read_sweep(other).cells:
        assert cell.settings[RATE] == here[cell.key.arm][RATE]
        assert cell.origins[RATE] == "search"
        assert cell.settings.get("head.bins") in (None, 3)  # the arm's own setting wins
    assert read_sweep(other).search is None
    searching.require_found(read_sweep(other))
    written(tmp_path, SEARCH.replace("head.bins: [5, 7]", "head.bins: [5, 9]"))
    with pytest.raises(
        InputError, match=r"search: s\.yaml has changed since its search, or has another number of trials: pgcont"
    ):
        searching.require_found(read_sweep(other))
    other.write_text(other.read_text().replace("bins: {head", "more bins: {head"))
    with pytest.raises(InputError, match=r"search: s\.yaml has not searched arm 'more bins'; it has gaussian, bins"):
        read_sweep(other)
