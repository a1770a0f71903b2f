"""A sweep: its runs, and its files."""

import csv
import dataclasses
import json
import re
import shutil
import subprocess
import sys

import pytest

from pgcontrol.cli import main
from pgcontrol.machine.files import unsealed
from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError
from pgcontrol.reporting import tables
from pgcontrol.reporting.compare import carry_out
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep import results, run_state
from pgcontrol.sweep.executor import Ended, Executor, Local
from pgcontrol.sweep.sweep import read_sweep
from pgcontrol.training import outcome
from tests.sweep.worlds import SWEEP, Asked, InProcess, Ready, Unmeasured


@pytest.mark.usefixtures("without_plugins")
def test_runs_what_is_missing_and_nothing_else(sweep, tmp_path, capsys, monkeypatch):

    class Mostly(Unmeasured):
        """Makes the last run in a process of its own, as `compare` does; a process takes seconds of imports."""

        def run(self, cells, where):
            *here, last = cells
            made = [*InProcess().run(here, where)]
            monkeypatch.setattr(outcome, "write", None)  # the runs have kept what their rows need
            yield from made
            yield from super().run([last], where)

    assert carry_out(sweep, Mostly(2), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    rows = results.read(sweep)
    assert set(rows) == {cell.key for cell in sweep.cells}
    for row in rows.values():
        assert row.steps == 512
        assert len(row.curves["train/std"]) == len(row.points) == 4
        assert row.evaluated is not None
        assert row.maps is not None
        assert row.provenance["machine"].keys() == {"cpu", "cores"}
        assert len(row.provenance["load"]) == 3
    text = (tmp_path / "heads.md").read_text()
    assert "| Reacher-v5 | gaussian |" in text
    assert str(tmp_path) not in text
    assert "Reacher-v5: rollout/ep_rew_mean (n = 2)" in (tmp_path / "heads.svg").read_text()
    assert len((tmp_path / "heads.csv").read_text().splitlines()) == 5
    with (tmp_path / "heads.summary.csv").open() as file:
        arms = list(csv.DictReader(file))
    assert [(line["task"], line["arm"], line["seeds"]) for line in arms] == [
        ("Reacher-v5", "gaussian", "2"),
        ("InvertedPendulum-v5", "bins bins=2", "1"),
        ("InvertedPendulum-v5", "bins bins=3", "1"),
    ]
    ours = [row.score for row in rows.values() if row.env == "Reacher-v5"]
    assert float(arms[0]["iqm"]) == pytest.approx(sum(ours) / 2)
    assert [float(arms[0][end]) for end in ("low", "high")] == pytest.approx(sorted(ours))
    assert arms[1]["low"] == arms[1]["high"] == ""  # one seed has no interval

    class Nobody(Executor):
        def run(self, cells, where):
            assert cells == []
            yield from ()

    assert carry_out(sweep, Nobody(), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    (tmp_path / "heads.md").unlink()
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(sweep.path), "--clips", "none"])
    assert (tmp_path / "heads.md").read_text() == text
    # a row lost is taken from the finished run folder, and a changed question is another cell
    sweep.results.unlink()
    assert carry_out(sweep, Nobody(), tmp_path / "runs", Terminal(quiet=True), clips="none", dry=True).exit_code == 0
    assert not sweep.results.exists()
    assert carry_out(sweep, Nobody(), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("epochs: 1", "epochs: 2"))
    assert results.read(read_sweep(tmp_path / "heads.yaml")) == {}
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main(["report", str(sweep.path), "--clips", "none"])
    assert (tmp_path / "heads.md").read_text() == text
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"no results for {sweep.path} yet (ignored in {sweep.results}: 4 rows made with other settings"
        f" (algorithm.epochs 1, now 2)); pgcontrol compare {sweep.path} runs them\n"
    )
    # a finished run that lost its log, and one whose config is damaged: both start again, and nothing is lost
    monkeypatch.undo()
    (tmp_path / "heads.yaml").write_text(SWEEP)
    sweep.results.unlink()
    folders = [tmp_path / "runs" / cell.name for cell in sweep.cells]
    (folders[0] / "metrics.jsonl").unlink()
    (folders[1] / "config.yaml").write_text("head: {name: gausian}")
    assert carry_out(sweep, InProcess(), tmp_path / "runs", Terminal(), clips="none").exit_code == 0
    out = capsys.readouterr().out
    again = "is damaged, so this run starts from the beginning:"
    assert f"{folders[0]} {again} it has finished, but metrics.jsonl has no row\n" in out
    assert f"{folders[1]} {again} {folders[1]}/config.yaml is not what the run wrote: its checksum differs" in out
    assert "4 runs, 2 of them done" in out
    assert set(results.read(sweep)) == {cell.key for cell in sweep.cells}
    assert (folders[0].with_name(f"{folders[0].name}.damaged") / "checkpoints").is_dir()


def test_all_arms_run_with_one_seed_before_the_next(sweep, tmp_path):
    turned, asked = dataclasses.replace(sweep, cells=sweep.cells[::-1]), Asked()
    carry_out(turned, asked, tmp_path / "runs", Terminal(quiet=True), clips="none")
    assert [cell.key.seed for cell in turned.cells] == [7, 7, 1, 0]
    assert [cell.key.seed for cell in asked.cells] == [0, 1, 7, 7]


@pytest.mark.slow
def test_a_failure_is_reported_with_its_last_lines_and_the_others_continue(sweep, tmp_path, capsys):
    blocked = tmp_path / "runs" / sweep.cells[0].name
    blocked.parent.mkdir()
    blocked.symlink_to(tmp_path / "nowhere" / "at all")  # where the run folder should be
    assert carry_out(sweep, Unmeasured(2), tmp_path / "runs", Terminal(), clips="none").exit_code == 1
    out = capsys.readouterr().out
    assert f"{sweep.cells[0].name} failed: run_dir" in out
    assert set(results.read(sweep)) == {cell.key for cell in sweep.cells[1:]}


def test_a_run_that_diverges_is_a_result_once_it_has_a_return(sweep, tmp_path):
    class Diverging(Executor):
        """Every run ends in its second update, those of seed 1 in the first."""

        def run(self, cells, where):
            for cell in cells:
                folder = RunFolder.create(configure(cell.settings | {"run_dir": str(where / cell.name)}))
                folder.write_manifest(status="diverged", seconds=1.0)
                row = {"step": 128, "time/total_timesteps": 128, "rollout/ep_rew_mean": -3.0}
                folder.metrics_file.write_text(json.dumps(row) + "\n" if cell.key.seed != 1 else "")
                yield Ended(cell, folder.path, "train/loss became nan")

    assert carry_out(sweep, Diverging(), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 1
    rows = results.read(sweep)
    assert set(rows) == {cell.key for cell in sweep.cells if cell.key.seed != 1}
    assert all(row.diverged and row.steps == 128 for row in rows.values())
    assert "-3 †" in (tmp_path / "heads.md").read_text()


@pytest.mark.parametrize(("which", "repeated"), [("Reacher-v5-*-s1", 1), ("diverged", 2), ("*", 4)])
def test_finished_runs_are_made_again_on_request(sweep, tmp_path, which, repeated):
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    for line in (lines := [unsealed(json.loads(text)) for text in sweep.results.read_text().splitlines()]):
        line["diverged"] = line["env"] != "Reacher-v5"
    sweep.results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    executor = Asked()
    found = carry_out(sweep, executor, tmp_path / "runs", Terminal(quiet=True), "none", dry=True, again=which)
    assert found.missing
    assert executor.cells == []
    assert carry_out(sweep, executor, tmp_path / "runs", Terminal(quiet=True), "none", again=which).exit_code == 0
    assert len(executor.cells) == repeated
    assert all((tmp_path / "runs" / f"{cell.name}.before").is_dir() for cell in executor.cells)
    assert set(results.read(sweep)) == {cell.key for cell in sweep.cells}
    assert len(sweep.results.read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_folder_that_is_no_run_of_the_sweep_is_set_aside_and_not_lost(sweep, tmp_path):
    where = tmp_path / "runs"
    foreign = list(zip(sweep.cells, [None, "x: 1", "env: Reacher-v5"], strict=False))
    for cell, config in foreign:
        (where / cell.name).mkdir(parents=True)
        (where / cell.name / "thesis.tex").write_text("three years of work")
        if config:
            (where / cell.name / "config.yaml").write_text(config)
    assert carry_out(sweep, Unmeasured(2), where, Terminal(quiet=True), "none").exit_code == 0
    for cell, _ in foreign:
        assert [f.read_text() for f in where.glob(f"{cell.name}.*/thesis.tex")] == ["three years of work"]
        assert cell.key in results.read(sweep)


def test_a_finished_run_of_other_settings_is_set_aside_and_not_lost(sweep, tmp_path, capsys):
    cell, runs = sweep.cells[0], tmp_path / "runs"
    for seconds in (1.0, 2.0):
        folder = RunFolder.create(configure(cell.settings | {"total_steps": 64, "run_dir": str(runs / cell.name)}))
        (folder.path / "checkpoints" / "step_000000064").mkdir(parents=True)
        folder.write_manifest(status="finished", seconds=seconds)
        assert carry_out(sweep, Ready(), runs, Terminal(), "none", dry=True).exit_code == 0
        assert f"{folder.path} is not a folder of this run; it is set aside\n" in capsys.readouterr().out
        assert folder.path.exists()
        assert carry_out(sweep, Ready(), runs, Terminal(quiet=True), "none").exit_code == 0
        sweep.results.unlink()
        shutil.rmtree(folder.path)
    aside = [runs / f"{cell.name}.other", runs / f"{cell.name}.other.2"]
    assert [RunFolder(folder).manifest()["seconds"] for folder in aside] == [1.0, 2.0]


class Short(Executor):
    """Runs that diverge before an episode ends."""

    def run(self, cells, where):
        for cell in cells:
            folder = RunFolder(where / cell.name)
            if not folder.config_file.exists():
                folder = RunFolder.create(configure(cell.settings | {"run_dir": str(folder.path)}))
                folder.write_manifest(status="diverged", seconds=1.0)
                rows = [{"time/total_timesteps": 256, "train/std": 0.5}, {"time/total_timesteps": 512}]
                folder.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            yield Ended(cell, folder.path, "")


def test_a_run_without_any_return_has_failed_and_reports_why(sweep, tmp_path, capsys):
    for _ in range(2):  # it is no damage: nothing is set aside, nothing thrown away
        found = carry_out(sweep, Short(), tmp_path / "runs", Terminal(), "none")
        assert (found.exit_code, len(found.failed), found.page) == (1, 4, None)
        out = capsys.readouterr().out
        assert f"{sweep.cells[0].name} failed: it diverged before an episode ended" in out
    assert {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()} == {c.name for c in sweep.cells}


def test_a_run_without_an_ended_episode_is_judged_by_its_final_policy(sweep, tmp_path):
    sweep.path.write_text(SWEEP.replace("eval_every: 512", "eval_every: 0").replace("budget: 512", "budget: 128"))
    reacher = read_sweep(sweep.path)
    reacher = dataclasses.replace(reacher, cells=reacher.cells[:1])
    assert carry_out(reacher, InProcess(), tmp_path / "runs", Terminal(quiet=True), "none").exit_code == 0
    (row,) = results.read(reacher).values()
    assert (row.training, row.episodes, row.score) == (None, 2, row.evaluated)


def test_a_wrong_name_of_what_to_make_again_changes_nothing(sweep, tmp_path):
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    rows = sweep.results.read_text()
    with pytest.raises(InputError, match=r"--again 'Reacher-v5-gaussian-s3': no finished run .*; did you mean '"):
        carry_out(sweep, Ready(), tmp_path / "runs", Terminal(quiet=True), again="Reacher-v5-gaussian-s3")
    assert sweep.results.read_text() == rows


def test_small_returns_keep_their_digits_and_tables_are_not_written_for_each_run(sweep, tmp_path, capsys, monkeypatch):
    written = []
    monkeypatch.setattr(tables, "write", lambda queries: written.append(len(queries.rows)))
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(), clips="none").exit_code == 0
    assert "s0: return 7.54 in 12 s" in capsys.readouterr().out
    assert written == [4]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("env: Reacher-v5", "env: gym:Nope-v9", "arm 'gaussian' on gym:Nope-v9: unknown env 'gym:Nope-v9'"),
        (
            "head: binned}",
            "head: token, head.source: nowhere}",
            "arm 'bins' on InvertedPendulum-v5: nowhere: no such run",
        ),
    ],
)
def test_cells_that_cannot_be_made_are_reported_before_anything_runs(tmp_path, old, new, says):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace(", head.bins: [2, 3]", "").replace(old, new))
    with pytest.raises(InputError, match=f"^{re.escape(says)}"):
        carry_out(read_sweep(tmp_path / "heads.yaml"), Local(1), tmp_path / "runs", Terminal(quiet=True))
    assert not (tmp_path / "runs").exists()


def test_a_run_that_another_process_reported_first_has_one_row(sweep, tmp_path):
    assert carry_out(sweep, Ready(), tmp_path / "runs", Terminal(quiet=True), "none").exit_code == 0
    lines, rows = sweep.results.read_text(), results.read(sweep)
    for row in rows.values():
        results.add(sweep, row)
    assert sweep.results.read_text() == lines


def test_what_another_process_works_on_is_not_set_aside(sweep, tmp_path, capsys):
    cell, where = sweep.cells[0], tmp_path / "runs"
    (where / cell.name).mkdir(parents=True)
    (where / cell.name / "metrics.jsonl").touch()  # a run of which the config is still to come
    with run_state.alone(cell, where):
        assert carry_out(sweep, Ready(), where, Terminal(), "none", dry=True).exit_code == 0
    assert "set aside" not in capsys.readouterr().out
    assert carry_out(sweep, Ready(), where, Terminal(), "none", dry=True).exit_code == 0
    assert "set aside" in capsys.readouterr().out


@pytest.mark.slow
def test_two_commands_share_a_sweep(sweep, tmp_path):
    words = [sys.executable, "-m", "pgcontrol", "compare", str(sweep.path), "--runs", str(tmp_path / "runs")]
    words += ["--jobs", "1", "--clips", "none", "--no-open"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=400)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(sweep.results.read_text().splitlines()) == 4
    for cell in sweep.cells:
        assert all(f"{cell.name}: return" in out for out in said)
        assert not [*(tmp_path / "runs").glob(f"{cell.name}.*[!g]")]  # none was made twice, and set aside


def test_the_answer_is_shown_where_there_is_a_display(sweep, monkeypatch):
    shown = []
    monkeypatch.setattr("pgcontrol.commands.compare.show", lambda found, browser: shown.append(browser))
    monkeypatch.setattr("pgcontrol.reporting.compare.executor_of", lambda on, jobs: Ready())
    monkeypatch.setattr("pgcontrol.machine.graphics.has_display", lambda: True)
    for words in ([], ["--no-open"], ["--open"]):
        with pytest.raises(SystemExit, match="0"):
            main(["compare", str(sweep.path), "--clips", "none", "--runs", str(sweep.path.parent), *words])
    assert shown == [True, False, True]


@pytest.mark.usefixtures("without_plugins")
def test_the_command_to_continue_is_the_one_that_was_given(sweep, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pgcontrol.reporting.compare.compare", stopped)
    with pytest.raises(SystemExit, match="130"):
        main(["compare", str(sweep.path), "--runs", "my runs", "--jobs", "1", "--clips", "none", "--no-open"])
    assert capsys.readouterr().out.splitlines() == [
        f"stopped; to continue: pgcontrol compare {sweep.path} --jobs 1 --runs 'my runs' --clips none --no-open",
        f"to report the finished runs: pgcontrol report {sweep.path} --runs 'my runs' --clips none",
    ]
    with pytest.raises(SystemExit, match="130"):
        main(["compare", str(sweep.path), "--dry-run"])
    assert capsys.readouterr() == ("", "pgcontrol: interrupted\n")
