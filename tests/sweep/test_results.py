"""Rows of results: which of them count, their origin, and later changes."""

import json
import shutil

import pytest

from pgcontrol.cli import main
from pgcontrol.machine.files import unsealed
from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.verdicts import Verdict, record
from pgcontrol.options import InputError
from pgcontrol.reporting.compare import carry_out
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep import results, run_state
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import SWEEP, Asked, InProcess, Ready, row_of

OTHER = """
question: Does a classifying critic help?
budget: 512
settings: {video: false, eval_every: 512, eval_episodes: 2, checkpoint_every: 256, num_envs: 4, rollout_steps: 32,
  algorithm.minibatch: 64, algorithm.epochs: 1, compile: "off"}
arms:
  plain: {critic: mse}
  deep: {critic: hl-gauss}
baseline: plain
grid: {env: Reacher-v5, seed: 3}
borrow: heads.yaml
episodes: 2
"""


def test_a_run_that_another_sweep_has_made_is_borrowed(sweep, tmp_path, capsys):
    runs, executor = tmp_path / "runs", Asked()
    assert carry_out(sweep, Ready(), runs / "heads", Terminal(quiet=True), clips="none").exit_code == 0
    # the same two runs with other words: a setting there is a default here, and vice versa; except one of them
    # was made when a default was another
    lines = [unsealed(json.loads(line)) for line in sweep.results.read_text().splitlines()]
    lines[1]["config"]["algorithm.gamma"] = 0.5
    del lines[0]["config"]["critic_hidden"]  # as a row from before there was that setting
    sweep.results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "other.yaml").write_text(OTHER)
    other = read_sweep(tmp_path / "other.yaml")
    assert carry_out(other, executor, runs / "other", Terminal(quiet=True), clips="none", dry=True).exit_code == 0
    assert results.read(other) == {}
    assert carry_out(other, executor, runs / "other", Terminal(), clips="none").exit_code == 0
    assert "Reacher-v5-plain-s0: borrowed from heads/Reacher-v5-gaussian-s0\n" in capsys.readouterr().out
    rows = results.read(other)
    assert set(rows) == {cell.key for cell in other.cells}
    lent = rows.pop(Key("Reacher-v5", "plain", 0))
    assert {cell.key for cell in executor.cells} == set(rows)
    assert not any(row.lender for row in rows.values())
    assert lent.lender == "heads/Reacher-v5-gaussian-s0"
    assert lent.folder(runs / "other") == runs / lent.lender
    assert (runs / lent.lender).is_dir()


def test_a_borrowed_run_is_made_again_where_it_was_made(sweep, tmp_path):
    runs = tmp_path / "runs"
    assert carry_out(sweep, Ready(), runs / "heads", Terminal(quiet=True), "none").exit_code == 0
    (tmp_path / "other.yaml").write_text(OTHER)
    other = read_sweep(tmp_path / "other.yaml")
    assert carry_out(other, Ready(), runs / "other", Terminal(quiet=True), "none").exit_code == 0
    rows = other.results.read_text()
    with pytest.raises(InputError, match="-plain-s0 is borrowed from heads/Reacher-v5-gaussian-s0; repeat it there"):
        carry_out(other, Ready(), runs / "other", Terminal(quiet=True), "none", again="Reacher-v5-plain-s0")
    assert other.results.read_text() == rows
    executor = Asked()
    assert carry_out(other, executor, runs / "other", Terminal(quiet=True), "none", again="*").exit_code == 0
    assert not any(results.read(other)[cell.key].lender for cell in executor.cells)
    assert 0 < len(executor.cells) < len(other.cells)


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("{video: false", "{video: false, algorithm.gamma: 0.99", 4),  # a former default is set
        ("{video: false", "{video: true, video_seconds: 3.0", 4),  # another clip is no other run
        ("checkpoint_every: 256", "checkpoint_every: 128", 4),
        ("{video: false", "{video: false, algorithm.gamma: 0.98", 0),
        ("eval_episodes: 2", "eval_episodes: 3", 0),
    ],
)
def test_a_row_counts_where_the_run_is_the_same(sweep, tmp_path, old, new, count):
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(quiet=True), "none").exit_code == 0
    sweep.path.write_text(SWEEP.replace(old, new))
    now = read_sweep(sweep.path)
    assert len(results.read(now)) == count
    assert bool(results.left_out(now, results.read(now))) == (count == 0)


def test_a_row_from_before_a_default_changed_counts_and_reports_it(sweep, tmp_path, capsys):
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(quiet=True), "none").exit_code == 0
    lines = [unsealed(json.loads(line)) for line in sweep.results.read_text().splitlines()]
    lines[0]["config"] |= {"algorithm.gamma": 0.5}
    del lines[1]["config"]["critic_hidden"]  # from before there was that setting
    sweep.results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(), "none").exit_code == 0
    out = capsys.readouterr().out
    assert "4 runs, 4 of them done" in out
    assert "1 row made with older defaults (algorithm.gamma 0.5, now 0.99): they still count; --again" in out
    page = (tmp_path / "heads.html").read_text()
    assert page.count("--algorithm.gamma 0.5") == 1  # the command gives that very run again
    assert results.repeated(Row.read(lines[1])) == lines[1]["settings"]
    sweep.path.write_text(SWEEP.replace("{video: false", "{video: false, algorithm.gamma: 0.5"))
    now = read_sweep(sweep.path)  # as the advice says
    assert [*results.read(now)] == [Row.read(lines[0]).key]
    assert results.outdated(now, results.read(now)) == ""


def test_of_two_arms_with_equal_settings_each_keeps_its_own_rows(sweep, tmp_path):
    (tmp_path / "heads.yaml").write_text(
        SWEEP[: SWEEP.index("arms:")] + "arms: {a: {}, b: {}}\ngrid: {env: Reacher-v5, seed: 1}"
    )
    twice = read_sweep(sweep.path)
    assert carry_out(twice, Ready(), tmp_path / "runs", Terminal(quiet=True), "none").exit_code == 0
    executor = Asked()
    assert carry_out(twice, executor, tmp_path / "runs", Terminal(quiet=True), "none", again="*-a-s0").exit_code == 0
    assert [cell.key.arm for cell in executor.cells] == ["a"]
    assert set(results.read(twice)) == {cell.key for cell in twice.cells}


def test_a_failure_names_the_cell_that_failed(sweep, tmp_path):
    cell = sweep.cells[0]
    run_state.note_failure(cell, tmp_path / cell.name, "train/loss became nan")
    assert run_state.failure(cell, tmp_path / cell.name) == "train/loss became nan"
    other = Cell(cell.key, cell.settings | {"algorithm.epochs": 3})
    assert run_state.failure(other, tmp_path / cell.name) == ""
    run_state.note_failure(cell, tmp_path / cell.name, "")
    assert run_state.failure(cell, tmp_path / cell.name) == ""


def test_a_metric_asked_for_later_is_taken_from_the_run_folders(sweep, tmp_path, capsys):
    runs = tmp_path / "runs"
    assert carry_out(sweep, Ready(), runs, Terminal(quiet=True), "none").exit_code == 0
    for cell in sweep.cells:
        (log := runs / cell.name / "metrics.jsonl").write_text(log.read_text().replace("{", '{"head/std_min": 0.25, '))
    sweep.path.write_text(SWEEP.replace("[train/std]", "[head/std_min, head/std_mni]"))
    shutil.rmtree(runs / sweep.cells[3].name)
    later = read_sweep(sweep.path)
    assert carry_out(later, Ready(), runs, Terminal(), "none").exit_code == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plots:")]
    meant = "'head/std_mni'; did you mean 'head/std_min'?"
    assert said == [f"plots: no finished run has the metric {meant}; --again repeats runs"]
    kept = [row.curves.get("head/std_min") for row in results.read(later).values()]
    assert kept == [[0.25], [0.25], [0.25], None]


def test_a_metric_that_no_run_has_is_reported_once(sweep, tmp_path, capsys):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("[train/std]", "[train/sdt, prior/kl, train/std]"))
    assert carry_out(read_sweep(sweep.path), Ready(), tmp_path / "runs", Terminal(), clips="none").exit_code == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plots:")]
    first = sweep.cells[0].name
    assert lines == [
        f"plots: {first} has no metric 'train/sdt'; did you mean 'train/std'?",
        f"plots: {first} has no metric 'prior/kl'",
    ]


def test_a_report_while_rows_come_in_takes_none_away(sweep, tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs"
    assert carry_out(sweep, Ready(), runs, Terminal(quiet=True), "none").exit_code == 0
    whole = sweep.results.read_text()
    *early, last = whole.splitlines(keepends=True)
    sweep.results.write_text("".join(early))
    RunFolder(runs / sweep.cells[0].name).write_manifest(verdict="collapsed", diagnosis="collapsed (cost 5 ± 1)")
    judged = results.judged

    def slowly(folder):  # meanwhile a run ends
        sweep.results.write_text(whole)
        return judged(folder)

    monkeypatch.setattr(results, "judged", slowly)
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(sweep.path), "--runs", str(runs), "--clips", "none"])
    assert sweep.results.read_text() == whole
    assert "Collapsed: " in (tmp_path / "heads.md").read_text()
    assert last in whole


def test_a_run_from_before_runs_kept_their_outcome_gets_its_row(sweep, tmp_path):
    cell, runs = sweep.cells[0], tmp_path / "runs"
    (ended,) = InProcess().run([cell], runs)
    kept = (file := ended.folder / "outcome.json").read_text()
    file.unlink()
    row = results.row_of(cell, ended.folder, [])
    assert file.read_text() == kept
    assert row == results.row_of(cell, ended.folder, [])


def test_the_last_verdict_on_a_run_is_kept(tmp_path):
    assert results.judged(tmp_path) == {"verdict": None, "why": None, "proved": False}
    for proved in (False, True):
        RunFolder(tmp_path).write_manifest(**record([Verdict("spread", "sharp", "because", proved=proved)]))
        assert results.judged(tmp_path) == {"verdict": "sharp", "why": "sharp (because)", "proved": proved}


def test_what_is_judged_later_comes_into_the_rows(sweep, tmp_path):
    cell, other = sweep.cells[:2]
    for each in (cell, other):
        results.add(sweep, row_of(each, verdict="suspected", why="", tide="high"))
    for each, settings in ((cell, cell.settings), (other, other.settings | {"total_steps": 12})):
        folder = RunFolder.create(configure(settings | {"run_dir": str(tmp_path / each.name)}))
        folder.write_manifest(verdict="collapsed", diagnosis="collapsed (cost 5 ± 1)", proved=True)
    rows = results.read(sweep)
    results.rewrite(sweep, results.refresh(sweep, rows, tmp_path))
    assert results.read(sweep) == rows
    assert [row.verdict for row in rows.values()] == ["collapsed", "suspected"]  # the second folder is another run's
    assert rows[cell.key].why == "collapsed (cost 5 ± 1)"
    assert rows[cell.key].proved
    assert rows[cell.key].line["tide"] == "high"  # of which nothing is known here
    before = sweep.results.stat().st_mtime_ns
    results.rewrite(sweep, results.refresh(sweep, rows, tmp_path))
    assert sweep.results.stat().st_mtime_ns == before
