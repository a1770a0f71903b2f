"""Rows of code with uncommitted changes: refused by a committed results file, unless they are marked."""

import json
import subprocess

import pytest

from pgcontrol.cli import main
from pgcontrol.machine import cores, revisions
from pgcontrol.machine.terminal import Terminal
from pgcontrol.reporting import tables
from pgcontrol.reporting.compare import carry_out, compare
from pgcontrol.reporting.page import write
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import results
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import SWEEP, Asked, row_of

CLEAN, DIRTY = "abc", "abc+"


def git(where, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(where), *who, *words], check=True, capture_output=True, timeout=20)


@pytest.fixture
def committed(sweep, tmp_path):
    """A sweep whose results file is committed, with the row of one of its four runs."""
    results.add(sweep, row_of(sweep.cells[0]))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "heads.jsonl")
    git(tmp_path, "commit", "-qm", "rows")
    return sweep


def at(monkeypatch, revision):
    monkeypatch.setattr(revisions, "revision", lambda: revision)


def made(sweep, tmp_path, **how):
    """The exit code of `compare`, and the cells that it made."""
    executor = Asked()
    found = carry_out(sweep, executor, tmp_path / "runs", Terminal(quiet=True), "none", **how)
    return found, len(executor.cells)


@pytest.mark.slow
def test_a_dirty_tree_makes_no_runs_for_a_committed_file(committed, tmp_path, monkeypatch, capsys):
    at(monkeypatch, DIRTY)
    before = committed.results.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(committed.path), "--runs", str(tmp_path / "runs"), "--clips", "none"])
    assert capsys.readouterr().err == (
        f"pgcontrol: {committed.results} is committed, and the source tree has uncommitted changes (abc+): "
        "commit them, or add --dirty, which marks the rows\n"
    )
    assert committed.results.read_bytes() == before
    assert not (tmp_path / "runs").exists()
    assert compare(committed.path, runs=tmp_path / "runs", dry_run=True).exit_code == 0


def test_dirty_rows_are_marked_and_counted(committed, tmp_path, monkeypatch):
    at(monkeypatch, DIRTY)
    found, runs = made(committed, tmp_path, dirty=True)
    assert (found.exit_code, runs) == (0, 3)
    rows = [json.loads(line) for line in committed.results.read_text().splitlines()]
    assert [row.get("dirty") for row in rows] == [None, True, True, True]
    words = "3 of 4 runs were made with uncommitted changes to the code."
    assert words in (tmp_path / "heads.md").read_text()
    assert words in write(found.queries).read_text()
    assert [line["dirty"] for line in found.rows()].count(True) == 3


@pytest.mark.parametrize("case", ["clean", "not committed", "outside git", "no git for the code"])
def test_all_others_are_not_affected(sweep, tmp_path, monkeypatch, case):
    results.add(sweep, row_of(sweep.cells[0]))
    if case != "outside git":
        git(tmp_path, "init", "-q")
    if case in ("clean", "no git for the code"):
        git(tmp_path, "add", "heads.jsonl")
        git(tmp_path, "commit", "-qm", "rows")
    at(monkeypatch, {"clean": CLEAN, "no git for the code": None}.get(case, DIRTY))
    found, runs = made(sweep, tmp_path)
    assert (found.exit_code, runs, len(results.read(sweep))) == (0, 3, 4)
    assert all(row.dirty == (row.revision == DIRTY) for row in results.read(sweep).values())


def test_a_change_during_the_sweep_fails_the_run_and_keeps_its_folder(committed, tmp_path, monkeypatch, capsys):
    at(monkeypatch, CLEAN)
    committed.results.write_text("")

    class Edited(Asked):
        def run(self, cells, where):
            at(monkeypatch, DIRTY)
            yield from super().run(cells[-1:], where)

    found = carry_out(committed, Edited(), tmp_path / "runs", Terminal(quiet=True), "none")
    assert (found.exit_code, committed.results.read_text()) == (1, "")
    (why,) = found.failed.values()
    name = committed.cells[-1].name
    asks = f"{committed.results} is committed, and {name} was made with uncommitted changes (abc+): "
    assert why == asks + "repeat the run, or add --dirty, which marks its row"
    at(monkeypatch, CLEAN)  # the run has ended; its row is refused again
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(committed.path), "--runs", str(tmp_path / "runs"), "--clips", "none"])
    assert capsys.readouterr().err == f"pgcontrol: {why}\n"
    found, runs = made(committed, tmp_path, dirty=True)
    assert (found.exit_code, runs, len(results.read(committed))) == (0, 3, 4)


def test_a_row_is_not_borrowed_clean(committed, tmp_path, monkeypatch):
    """What another sweep made with uncommitted changes stays marked."""
    (tmp_path / "other.yaml").write_text(SWEEP)
    other = read_sweep(tmp_path / "other.yaml")
    settings = other.cells[1].run()
    results.add(other, row_of(other.cells[1], config=settings, revision=DIRTY))
    committed.path.write_text(SWEEP + "borrow: other.yaml\n")
    at(monkeypatch, CLEAN)
    with pytest.raises(results.Unclean, match="was made with uncommitted changes"):
        made(read_sweep(committed.path), tmp_path)
    found, _ = made(read_sweep(committed.path), tmp_path, dirty=True)
    assert found.queries.rows[other.cells[1].key].dirty


def test_older_rows_are_counted_by_their_revision(sweep):
    rows = {cell.key: row_of(cell, revision=DIRTY if i else CLEAN) for i, cell in enumerate(sweep.cells)}
    assert tables.unclean(Queries(sweep, rows)).startswith("3 of 4 runs were")
    assert tables.unclean(Queries(sweep, {key: row for key, row in rows.items() if not row.dirty})) == ""
    with pytest.raises(TypeError, match="dirty"):
        Row.read(row_of(sweep.cells[0]).line | {"dirty": "yes"})


def test_a_search_of_a_committed_file_is_refused(tmp_path, monkeypatch, capsys):
    search = "search: {space: {algorithm.gamma: [0.9, 0.99]}, trials: 2, sampler: grid, tasks: [Fork-v0], seeds: [9],"
    search += " budget: 256, score: rank, pruner: none}\n"
    (tmp_path / "heads.yaml").write_text(SWEEP + search)
    (tmp_path / "heads.search.jsonl").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "heads.search.jsonl")
    git(tmp_path, "commit", "-qm", "trials")
    at(monkeypatch, DIRTY)
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(tmp_path / "heads.yaml"), "--runs", str(tmp_path / "runs")])
    assert "heads.search.jsonl is committed, and the source tree has" in capsys.readouterr().err


def test_the_revision_of_this_tree():
    head = revisions.revision()
    assert head is None or len(head.removesuffix("+")) == 40
    assert not revisions.committed(revisions.Path("/no/such/file"))


def test_a_page_names_machines_and_their_load(sweep, tmp_path):
    kinds = [{"cpu": "A <b>CPU</b>", "cores": 2}, {"cpu": "A <b>CPU</b>", "cores": 2}, {"cpu": "B", "cores": 1}]
    rows = {
        cell.key: row_of(cell, provenance={"machine": kind, "load": [9, 9, 1.5 + i]})
        for i, (cell, kind) in enumerate(zip(sweep.cells, kinds, strict=False))
    }
    page = write(Queries(sweep, rows, tmp_path)).read_text()
    assert "Machine: A &lt;b&gt;CPU&lt;/b&gt;, 2 cores (load 1.5 to 2.5)." in page
    assert "Machine: B, 1 core (load 3.5 to 3.5)." in page
    assert cores.machine()["cores"] >= 1
    assert cores.machine()["cpu"] != ""
