"""Every arm of a search gets the same effort, and no trial is lost, judged twice or made for nothing."""

import json
import math
import shutil

import pytest
import yaml

from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.sweep import found, searching, trials
from pgcontrol.sweep.cell import run_of
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.searches import RATE, SEARCH, Scripted, rows, search, search_of, text, written


def test_a_value_that_a_head_cannot_have_on_some_task_is_refused_before_the_search(tmp_path):
    """Four codes are enough for the joint of the searched task, but not for the two of the reported one."""
    tree = yaml.safe_load(text(space={"head.codes": [4, 64]}))
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


def test_the_first_trials_lie_evenly(tmp_path):
    """Random points may lie close together: the first four of 16 trials are Sobol's."""
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


def test_if_fewer_trials_are_asked_for_the_others_count_for_no_arm(tmp_path):
    sweep = written(tmp_path, text(trials=6, pruner="none"))
    assert search(sweep, Scripted())
    tree = yaml.safe_load(text(trials=3, pruner="none"))
    tree["arms"]["more"] = {"head": "gaussian-state"}
    fewer = written(tmp_path, yaml.safe_dump(tree))
    assert not found.answers(found.file_of(fewer.path), search_of(fewer))
    assert search(fewer, Scripted())
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
