"""Every arm of a search gets the same effort, and no trial is lost, judged twice or made for nothing."""

import json
import math
import shutil
import time
from typing import Any

import numpy as np
import pytest
import yaml

from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.sweep import found, journal, searching, trials
from pgcontrol.sweep.cell import run_of
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.searches import RATE, SEARCH, Scripted, TwoTasks, rows, search, search_of, text, two_tasks, written


def test_a_value_that_a_head_cannot_have_on_some_task_is_refused_before_the_search(tmp_path):
    """Four codes are enough for the joint of the searched task, but not for the two of the reported one."""
    tree = yaml.safe_load(text(space={RATE: [1e-4, 1e-3], "head.codes": [4, 64]}))
    tree["arms"] = {"token": {"head": "token"}}
    sweep = written(tmp_path, yaml.safe_dump(tree))
    with pytest.raises(InputError, match=r"^search: space: head\.codes = 4: token on Reacher-v5: head\.codes: 4 outp"):
        searching.expect(sweep, Scripted(), print)
    tree["grid"]["env"] = "InvertedPendulum-v5"
    searching.expect(written(tmp_path, yaml.safe_dump(tree)), Scripted(), print)


def test_the_first_trial_has_the_defaults(tmp_path):
    sweep = written(tmp_path, text(pruner="none"))
    assert search(sweep, Scripted())
    for arm in ("gaussian", "bins"):
        usual = run_of(configure(search_of(sweep).settings(arm)))
        (first,) = (row for row in rows(sweep) if (row.arm, row.number) == (arm, 0))
        assert first.settings[RATE] == usual[RATE]
    assert usual["head.bins"] == 11  # not in the space, so that it is chosen like any other value
    assert first.settings["head.bins"] in (5, 7)


@pytest.mark.parametrize(
    ("setting", "choices", "expected"),
    [
        ("critic_hidden", ["256,256", "64,64"], "64,64"),  # a list, as text
        ("head.std_rate", [2, 1], 1),  # the default is 1.0
        ("algorithm.entropy_target", [0.4, None], None),
        ("head.quantile_std", [None, 0.2], "absent"),  # a setting of bins only
    ],
)
def test_the_first_trial_has_the_defaults_among_choices(tmp_path, setting, choices, expected):
    tree = yaml.safe_load(text(space={setting: choices, "head": ["gaussian", "binned"]}))
    tree["arms"] = {"all": {}}
    asked = search_of(written(tmp_path, yaml.safe_dump(tree)))
    begun = journal.Journal(asked, tmp_path / "search", []).begin("all")[1]
    assert begun["head"] == run_of(configure(asked.settings("all")))["head"]
    assert begun.get(setting, "absent") == expected


def test_the_first_trials_lie_evenly(tmp_path):
    """Random points may lie close together, so that three trials after the one with the defaults are Sobol's."""
    sweep = written(tmp_path, text(trials=16, pruner="none"))
    assert search(sweep, Scripted())
    for arm in ("gaussian", "bins"):
        rates = [math.log10(row.settings[RATE]) for row in rows(sweep) if row.arm == arm and row.number in (1, 2, 3)]
        assert len({int(2 * (rate + 4)) for rate in rates}) == 3  # quarters of the range


def test_rows_that_the_journal_does_not_know_are_kept(tmp_path):
    """As if the rows of another machine came with an update, while a journal was there."""
    sweep = written(tmp_path, text(trials=2, pruner="none"))
    assert search(sweep, Scripted())
    shutil.copytree(tmp_path / "search", tmp_path / "older")
    more = written(tmp_path, text(trials=6, pruner="none"))
    assert search(more, Scripted())
    whole = rows(more)
    shutil.rmtree(tmp_path / "search")
    (tmp_path / "older").rename(tmp_path / "search")
    last = written(tmp_path, text(trials=7, pruner="none"))
    executor = Scripted()
    assert search(last, executor)
    assert {name.split("-")[0] for name in executor.made} == {"t6"}
    assert [row for row in rows(last) if row.number < 6] == whole


def test_until_enough_trials_have_ended_all_points_are_sobols(tmp_path):
    """Several processes begin trials before the first ones end; TPE alone would draw random points for them."""
    asked = search_of(written(tmp_path, text(trials=16, pruner="none")))
    begun = journal.Journal(asked, tmp_path / "search", [])
    rates = [math.log10(begun.begin("gaussian")[1][RATE]) for _ in range(8)]
    assert len({int(4 * (rate + 4)) for rate in rates[1:]}) == 7  # eighths of the range


def test_rows_that_come_while_a_search_runs_are_kept(tmp_path):
    sweep = written(tmp_path, text(trials=2, pruner="none"))
    running = searching.Searching(sweep, search_of(sweep), Scripted(), tmp_path / "here", [], print)
    assert search(sweep, Scripted())  # another process, with other folders
    whole = rows(sweep)
    running._keep()
    assert rows(sweep) == whole


def test_if_fewer_trials_are_asked_for_the_others_count_for_no_arm(tmp_path):
    sweep = written(tmp_path, text(trials=6, pruner="none"))
    assert search(sweep, Scripted())
    tree = yaml.safe_load(text(trials=3, pruner="none"))
    tree["arms"]["more"] = {"head": "gaussian-state"}
    fewer = written(tmp_path, yaml.safe_dump(tree))
    assert not found.answers(found.file_of(fewer.path), search_of(fewer))
    executor = Scripted()
    assert search(fewer, executor)
    assert {name.split("/")[0] for name in executor.made} == {f"t{n}-more" for n in range(3)}
    kept = yaml.safe_load(found.file_of(fewer.path).read_text())
    assert [entry["trials"] for entry in kept.values()] == [{"finished": 3}] * 3
    assert [entry["steps"] for entry in kept.values()] == [3 * 2 * 512] * 3
    for arm, entry in kept.items():
        assert entry["trial"] == trials.best(trials.first(rows(fewer), 3), arm).trials[0].number
    assert len(rows(fewer)) == 6 + 6 + 3  # none is deleted


def test_a_continued_trial_is_not_judged_by_its_first_evaluations_again(tmp_path):
    """It ends after its last evaluation, but before its row; meanwhile the others became better."""
    sweep = written(tmp_path, text(pruner="none"))
    assert search(sweep, Scripted())
    whole = rows(sweep)
    asked = search_of(written(tmp_path, SEARCH))
    making = searching.Searching(sweep, asked, Scripted(), tmp_path / "again", [], print)
    number, values = making.journal.begin("gaussian")
    for stage in range(1, 9):
        making.journal.report("gaussian", number, stage, -5.0)
    assert making.journal.stage("gaussian", number) == 8
    taken = making._take()
    assert taken is not None
    assert taken[:3] == ("gaussian", number, values)
    with taken.lock:
        making._make(taken)
    (row,) = making.journal.rows()
    assert row.state == "finished"
    assert row.values == [(stage, -5.0) for stage in range(1, 9)]
    assert len(whole) == 8


def test_a_run_without_a_last_evaluation_diverged(tmp_path):
    class Silent(Scripted):
        def run(self, cells, where):
            yield from super().run(cells, where)
            log = where / cells[0].name / "metrics.jsonl"
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            lines[-1]["eval/mean_reward"] = None
            log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    sweep = written(tmp_path, text(pruner="none"))
    with pytest.raises(InputError, match="no trial of arm 'gaussian' finished \\(4 diverged\\)"):
        search(sweep, Silent())
    assert {row.state for row in rows(sweep)} == {"diverged"}


def test_seeds_of_a_lent_search_are_not_reported(tmp_path):
    assert search(written(tmp_path), Scripted())
    other = tmp_path / "other.yaml"
    other.write_text("arms: {gaussian: {head: gaussian}}\ngrid: {env: Reacher-v5, seed: [1, 101]}\nsearch: s.yaml\n")
    with pytest.raises(InputError, match=r"grid: seed = 101: s\.yaml has searched with it; use other seeds"):
        searching.require_found(read_sweep(other))


def test_a_seed_that_is_written_in_two_ways_is_one(tmp_path):
    with pytest.raises(InputError, match=r"search: seeds = .*: a value occurs twice"):
        written(tmp_path, text(seeds=[100, "100"]))


def test_another_sweep_can_use_the_best_trial_of_each_task(tmp_path):
    """A large step is best on Reacher, one of 1e-3 on the pendulum, and one setting for both lies between."""
    tree = two_tasks(space={RATE: [1e-4, 1e-3, 1e-2, 3e-3]}, sampler="grid", pruner="none")
    tree["arms"] = {"gaussian": {"head": "gaussian"}}
    sweep = written(tmp_path, yaml.safe_dump(tree))
    assert search(sweep, TwoTasks())
    best = yaml.safe_load(found.file_of(sweep.path).read_text())["gaussian"]["best_on"]
    assert {task: each["settings"] for task, each in best.items()} == {
        "InvertedPendulum-v5": {RATE: 1e-3},
        "Reacher-v5": {RATE: 1e-2},
    }
    for each, task in zip(best.values(), best, strict=True):
        (row,) = (row for row in rows(sweep) if row.number == each["trial"])
        assert each["score"] == pytest.approx(np.mean(row.scores[task]), rel=1e-3)

    other = {key: value for key, value in tree.items() if key != "search"}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(other | {"search": {"of": "s.yaml", "per_task": True}}))
    made = read_sweep(tmp_path / "t.yaml")
    assert made.searched_by == sweep.path
    assert {cell.key.env: cell.settings[RATE] for cell in made.cells} == {
        "InvertedPendulum-v5": 1e-3,
        "Reacher-v5": 1e-2,
    }
    searching.require_found(made)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"of": "s.yaml", "per_tusk": True}, "unknown key 'per_tusk'; did you mean 'per_task'? (search)"),
        ({"of": "s.yaml", "per_task": 1}, "search: per_task = 1: must be true or false"),
        ({"of": "u.yaml", "per_task": True}, "search: 'u.yaml' is no other sweep in this folder; did you mean"),
        ({"of": "s.yaml", "per_task": True}, "search: s.yaml has not searched gaussian on Reacher-v5"),
        ({"of": "s.yaml"}, ""),
    ],
)
def test_another_sweep_that_cannot_be_used_is_one_line(tmp_path, asked, says):
    tree = yaml.safe_load(text(space={RATE: [1e-4, 1e-3, 1e-2, 3e-3]}, sampler="grid", pruner="none"))
    tree["arms"] = {"gaussian": {"head": "gaussian"}}
    assert search(written(tmp_path, yaml.safe_dump(tree)), Scripted())  # on one task
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(tree | {"search": asked}))
    if not says:
        assert read_sweep(tmp_path / "t.yaml").cells[0].settings[RATE] == 1e-3
        return
    with pytest.raises(InputError) as error:
        read_sweep(tmp_path / "t.yaml")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_what_an_older_version_found_has_no_best_trial_of_each_task(tmp_path):
    tree = two_tasks(space={RATE: [1e-4, 1e-3, 1e-2, 3e-3]}, sampler="grid", pruner="none")
    tree["arms"] = {"gaussian": {"head": "gaussian"}}
    sweep = written(tmp_path, yaml.safe_dump(tree))
    assert search(sweep, TwoTasks())
    kept = yaml.safe_load(found.file_of(sweep.path).read_text())
    del kept["gaussian"]["best_on"]
    found.file_of(sweep.path).write_text(yaml.safe_dump(kept))
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(tree | {"search": {"of": "s.yaml", "per_task": True}}))
    with pytest.raises(InputError, match="best_on = None: must have the best trial of each task: delete this file and"):
        read_sweep(tmp_path / "t.yaml")


@pytest.mark.parametrize(
    ("first", "state"),
    [
        ({"head": "binned", "head.bins": 7, "rollout_steps": 32}, "finished"),
        ({"head": "gaussian", "rollout_steps": 4}, "impossible"),
    ],
)
def test_a_name_and_an_impossible_entry_can_be_tried_first(tmp_path, first, state):
    space = {"head": ["gaussian", "binned"], "head.bins": [5, 7], "rollout_steps": [4, 32], RATE: [1e-3, 1e-2]}
    tree = yaml.safe_load(text(space=space, try_first=[first], pruner="none"))
    tree["arms"] = {"all": {}}
    del tree["settings"]["rollout_steps"]
    sweep = written(tmp_path, yaml.safe_dump(tree))
    assert search(sweep, Scripted())
    (row,) = (row for row in rows(sweep) if row.number == 1)
    assert row.state == state
    assert first.items() <= row.settings.items()


def test_a_task_without_settings_of_its_own_is_refused(tmp_path):
    tree = two_tasks(space={RATE: [1e-4, 1e-3, 1e-2, 3e-3]}, sampler="grid", pruner="none")
    tree["arms"] = {"gaussian": {"head": "gaussian"}}
    assert search(written(tmp_path, yaml.safe_dump(tree)), TwoTasks())
    asked = dict[str, Any](of="s.yaml")
    other = tree | {"search": asked, "grid": tree["grid"] | {"env": "Bandit-v0"}}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(other))
    assert read_sweep(tmp_path / "t.yaml").cells[0].settings[RATE]  # one setting for all tasks
    asked["per_task"] = True
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(other))
    with pytest.raises(InputError, match=r"search: s\.yaml has not searched gaussian on Bandit-v0$"):
        read_sweep(tmp_path / "t.yaml")


def test_an_error_in_one_of_two_threads_ends_the_search(tmp_path):
    """The second thread dies at once, while the first one would go on for ever."""

    class Endless(Scripted):
        def run(self, cells, where):
            if where.name.endswith("bins"):
                raise ZeroDivisionError
            while True:
                time.sleep(0.01)
                yield frozenset({cells[0].key})

    sweep = written(tmp_path, text(pruner="none"))
    with pytest.raises(ZeroDivisionError):
        search(sweep, Endless(jobs=2))
