"""`pgcontrol compare` of a sweep with a search; and, with processes, that a trial is an ordinary run and is shared."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from pgcontrol.cli import main
from pgcontrol.reporting import compare
from pgcontrol.runs import recommended
from pgcontrol.sweep import searching
from pgcontrol.sweep.cell import command
from pgcontrol.sweep.executor import Local
from tests.sweep.nodes import identical
from tests.sweep.searches import RATE, SEARCH, Scripted, rows, search, search_of, text, written


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with the sweep, with runs that take no time; returns exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, "executor_of", lambda on, jobs: Scripted(jobs or 2))
    (tmp_path / "s.yaml").write_text(SEARCH)

    def command(*words: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--clips", "none"])
        return ended.value.code, capsys.readouterr().out

    return command


def test_compare_searches_and_then_runs_what_it_found(typed, tmp_path, monkeypatch):
    code, said = typed("compare", "s.yaml", "--no-open")
    assert code == 0
    assert "report: s.html" in said
    kept = yaml.safe_load((tmp_path / "s.found.yaml").read_text())
    made = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert len(made) == 2
    for row in made:
        assert row["settings"].items() >= kept[row["arm"]]["settings"].items()
        assert row["origins"].items() >= {RATE: "search", "head": "arm", "num_envs": "settings", "seed": "grid"}.items()
    assert {row["arm"]: row["origins"]["head.initial_std"] for row in made} == dict.fromkeys(kept, "recommended")
    assert "<dt>from the search</dt>" in (tmp_path / "s.html").read_text()
    code, said = typed("compare", "s.yaml", "--no-open")
    assert "search: done, see s.found.yaml" in said
    assert "2 runs, 2 of them done" in said
    now = recommended.of
    monkeypatch.setattr(recommended, "of", lambda *of: now(*of) | {"algorithm.gamma": 0.98})
    assert "search: 8 trials made with older defaults" in typed("compare", "s.yaml", "--no-open", "--dry-run")[1]


def test_compare_refuses_what_another_search_has_not_finished(typed, tmp_path):
    assert typed("compare", "s.yaml", "--search-only", "--no-open")[0] == 0
    (tmp_path / "other.yaml").write_text(
        "budget: 512\narms: {gaussian: {head: gaussian}}\ngrid: {env: Reacher-v5, seed: 1}\nsearch: s.yaml\n"
    )
    assert typed("compare", "other.yaml", "--no-open", "--dry-run")[0] == 0
    (tmp_path / "s.yaml").write_text(text(trials=9))
    assert typed("compare", "other.yaml", "--no-open", "--dry-run")[0] == 2


def test_search_only_runs_no_cell(typed, tmp_path):
    code, said = typed("compare", "s.yaml", "--search-only", "--no-open")
    assert code == 0
    assert "report: s.html" in said
    assert (tmp_path / "s.found.yaml").exists()
    assert not (tmp_path / "s.jsonl").exists()
    assert typed("report", "s.yaml")[0] == 0


def test_a_dry_run_adds_up_the_times_and_leaves_nothing(typed, tmp_path, monkeypatch):
    monkeypatch.setattr(Scripted, "expected", lambda self, cells, say: {cell.key: 30.0 for cell in cells})
    code, said = typed("compare", "s.yaml", "--dry-run")
    assert code == 0
    assert "expected: about 4 min for 8 trials of the search with the default settings, less if trials" in said
    assert "expected: about 30 s for 2 runs; with the search 4 min" in said  # 240 + 30 s
    assert [file.name for file in tmp_path.iterdir()] == ["s.yaml"]


@pytest.mark.slow
def test_a_trial_is_the_ordinary_run_of_its_settings(tmp_path):
    sweep = written(tmp_path, text(trials=1, seeds=[100], pruner="none"))
    assert search(sweep, Local(2))
    for row in rows(sweep):
        (cell,) = searching.cells(search_of(sweep), row.arm, row.settings)
        trial = tmp_path / "search" / f"t0-{row.arm}" / cell.name
        assert command(cell.settings, trial)[:2] == ["train", "InvertedPendulum-v5"]
        ours = identical(trial, cell)
        assert row.returns == {"InvertedPendulum-v5": [ours[-1]["eval/mean_reward"]]}


def begun(folder) -> subprocess.Popen:
    words = [sys.executable, "-m", "pgcontrol", "compare", "s.yaml", "--search-only", "--jobs", "1", "--no-open"]
    with (folder / f"{time.monotonic()}.log").open("w") as log:
        return subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)


@pytest.mark.slow
def test_processes_share_a_search_and_one_that_is_killed_leaves_its_trial_to_another(tmp_path):
    sweep = written(tmp_path, text(trials=1, seeds=[100], pruner="none", budget=20_000, evaluations=1))
    first, second = begun(tmp_path), begun(tmp_path)
    place = tmp_path / "runs" / "s" / "search"
    until = time.monotonic() + 400
    while len(list(place.glob("t*/*/checkpoints/step*"))) < 1 and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)  # its worker leaves a checkpoint, and the other process continues from it
    assert second.wait(400) == 0
    first.wait()
    assert [(r.arm, r.number, r.state) for r in rows(sweep)] == [(arm, 0, "finished") for arm in ("gaussian", "bins")]
    assert all(row.steps == 20_096 for row in rows(sweep))
    assert len(list(place.glob("t*/*/manifest.json"))) == 2
    assert all(row.returns.keys() == {"InvertedPendulum-v5"} for row in rows(sweep))
