"""The journal of a search: it outlives kills, belongs to one search, and can be made again from rows."""

import shutil
import sys

import pytest

from pgcontrol.options import InputError
from pgcontrol.sweep import trials
from pgcontrol.sweep.journal import Journal
from pgcontrol.sweep.search import SAMPLERS
from tests.sweep.searches import GRID, RATE, SEARCH, Scripted, rows, search, search_of, text, written


def test_a_trial_that_was_proposed_when_its_process_was_killed_is_made(tmp_path):
    sweep = written(tmp_path, text(pruner="none"))
    proposed = Journal(search_of(sweep), tmp_path / "search", [])
    proposed.studies["bins"].enqueue_trial({RATE: 0.002, "head.bins": "7"})
    assert search(sweep, Scripted())
    assert len(rows(sweep)) == 8
    assert next(row.settings for row in rows(sweep) if row.arm == "bins") == {RATE: 0.002, "head.bins": 7}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trial_without_a_row_is_made_again_with_its_number(tmp_path, sampler):
    """As in a fresh clone of a search that was stopped while a trial ran and a later one had ended."""
    space = {"space": GRID} if sampler == "grid" else {}
    sweep = written(tmp_path, text(sampler=sampler, pruner="none", **space))
    assert search(sweep, Scripted())
    whole = rows(sweep)
    shutil.rmtree(tmp_path / "search")
    trials.write(trials.file_of(sweep.path), [row for row in whole if row.number != 1])
    executor = Scripted()
    assert search(sweep, executor)
    assert {name.split("-")[0] for name in executor.made} == {"t1"}
    again = {(row.arm, row.number): row.settings for row in rows(sweep)}
    assert len(again) == len(rows(sweep)) == 8
    for row in whole:
        if sampler != "tpe" or row.number != 1:  # TPE's proposals depend on the trials that have ended
            assert again[row.arm, row.number] == row.settings


def test_a_journal_that_was_being_made_when_its_process_was_killed_is_completed(tmp_path, monkeypatch):
    sweep = written(tmp_path, text(pruner="none"))
    assert search(sweep, Scripted())
    whole = rows(sweep)
    shutil.rmtree(tmp_path / "search")
    with monkeypatch.context() as patched:
        kept = Journal._kept
        dies = lambda self, arm, row: kept(self, arm, row) if row.number < 2 else sys.exit("killed")  # noqa: E731
        patched.setattr(Journal, "_kept", dies)
        with pytest.raises(SystemExit):
            search(sweep, Scripted())
    executor = Scripted()
    assert search(sweep, executor)
    assert executor.made == []
    assert rows(sweep) == whole


def test_a_journal_of_another_search_is_refused(tmp_path):
    assert search(written(tmp_path), Scripted())
    other = written(tmp_path, text(budget=1024))
    said = r"journal.jsonl belongs to another search \(budget 512, now 1024; .*use another"
    with pytest.raises(InputError, match=said):
        search(other, Scripted())
    assert len(rows(other)) == 8  # they stay, and are no trials of this one
    shutil.rmtree(tmp_path / "search")
    assert search(other, Scripted())
    assert len(rows(other)) == 16


def test_a_journal_of_another_sweep_is_refused(tmp_path):
    assert search(written(tmp_path), Scripted())
    other = written(tmp_path, SEARCH.replace("bins: {head", "b: {head").replace("gaussian: {head", "g: {head"))
    with pytest.raises(
        InputError, match=r"journal.jsonl belongs to another sweep \(arms gaussian, bins\); use another --runs"
    ):
        search(other, Scripted())


def test_a_damaged_journal_is_one_line(tmp_path):
    sweep = written(tmp_path)
    assert search(sweep, Scripted())
    file = tmp_path / "search" / "journal.jsonl"
    file.write_text(file.read_text()[:2000] + "\n{}\n")
    said = r"journal.jsonl is damaged; delete it \(finished trials have rows of their own\)"
    with pytest.raises(InputError, match=said):
        search(sweep, Scripted())
    file.unlink()
    assert search(sweep, Scripted())
