"""The Markdown and CSV files next to the YAML."""

import csv
import dataclasses
import re
import shutil

import numpy as np
import pytest

from pgcontrol.machine.terminal import Terminal
from pgcontrol.reporting import problems, settled, tables
from pgcontrol.reporting.compare import publish
from pgcontrol.reporting.narrative import answer
from pgcontrol.reporting.page import write
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import results
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.text import short
from tests.reporting.conftest import HOSTILE


def moved(sweep: Sweep, folder) -> Sweep:
    """The same sweep in another folder."""
    found = type(sweep)(**vars(sweep) | {"path": folder / "study.yaml"})
    shutil.copy(sweep.results, found.results)
    return found


def test_the_tables_say_what_the_page_says(sweep, tmp_path):
    publish(Queries(moved(sweep, tmp_path), results.read(sweep), tmp_path / "runs"), "none", lambda _: None)
    text = (tmp_path / "study.md").read_text()
    for paragraph in answer(Queries(sweep, results.read(sweep), tmp_path / "runs")):
        assert paragraph.lead in text
        assert paragraph.rest in text
    assert "| Fork-v0 | bins | 202 (200 … 204) | 200 | 201 | 182 | 1 (25 of 25 pairs) | 5 |" in text
    # the baseline's middle run ends at 98.4; bins, twice as high, are at the goal while theirs is at 0.4 of its own
    assert "| Fork-v0 | bins | 155 | 4.65 | 5 of 5 |" in text  # 202 · (1 − e^(−155/300)) = 81.5
    assert "| Fork-v0 | mixture | – | – | 0 of 5 |" in text
    with (tmp_path / "study.csv").open() as file:
        lines = {(row["task"], row["arm"], row["seed"]): row for row in csv.DictReader(file)}
    assert lines["Fork-v0", "mixture", "0"]["diverged"] == "True"
    assert lines["Fork-v0", "mixture", "0"]["verdict"] == "sharp"
    assert lines["Fork-v0", "bins", "1"]["return"] == "201"


def test_what_the_task_measured_is_a_table(sweep, tmp_path):
    """Of the rows that have it: means over seeds by mode and by samples, and each seed."""
    rows = dict(results.read(sweep))
    for seed, error in enumerate((0.1, 0.2, 0.3)):
        key = Key("Fork-v0", "bins", seed)
        rows[key] = rows[key].changed(measured={"speed_error": error, "speed_error_sampled": 2 * error})
    queries = Queries(moved(sweep, tmp_path), rows, tmp_path / "runs")
    assert tables.measured(queries) == [("Fork-v0", "bins", "speed_error", "0.2", "0.4", "0.1, 0.2, 0.3")]
    tables.write(queries)
    assert "| Fork-v0 | bins | speed_error | 0.2 | 0.4 | 0.1, 0.2, 0.3 |" in (tmp_path / "study.md").read_text()
    assert '<table class="measured">' in write(queries).read_text()
    assert '<table class="measured">' not in write(Queries(sweep, results.read(sweep), tmp_path)).read_text()


def test_secondary_outcomes_are_a_table(sweep, tmp_path):
    """Training returns are score · (1 − e^(−step / 300)) up to step 1,000; runs of bins take 30 s, all others 10 s."""
    queries = Queries(moved(sweep, tmp_path), results.read(sweep), tmp_path / "runs")
    lines = {line[:2]: line[2:] for line in tables.outcomes(queries)}
    assert len(lines) == 6
    tables.write(queries)
    with (tmp_path / "study.summary.csv").open() as file:
        found = {(row["task"], row["arm"]): row for row in csv.DictReader(file)}["Fork-v0", "bins"]
    mean = 202 * (1 - 0.3 * (1 - np.exp(-1 / 0.3)))
    assert float(found["area"]) == pytest.approx(mean, rel=0.01)
    assert float(found["at_equal_time"]) == pytest.approx(202 * (1 - np.exp(-1000 / 3 / 300)), rel=0.001)
    assert float(found["equal_time"]) == 10
    line = "| Fork-v0 | bins | " + " | ".join(lines["Fork-v0", "bins"]) + " |"
    assert line in (tmp_path / "study.md").read_text()
    assert short(float(found["area"])) in line
    without = {key: row.changed(curves={"steps": row.points}) for key, row in queries.rows.items()}
    assert tables.outcomes(Queries(sweep, without, tmp_path)) == []


def test_how_much_of_a_score_is_noise_of_its_evaluation_is_a_table(sweep, tmp_path):
    """Seeds from 200 to 204 differ by √2.5 = 1.58; an error of 0.45 after 100 episodes is a fifth of it after 202.5."""
    rows = results.read(sweep)
    queries = Queries(moved(sweep, tmp_path), rows, tmp_path / "runs")
    assert ("Fork-v0", "bins", "1.58", "0.45", "100", "203") in tables.noises(queries)
    assert "beta" not in {line[1] for line in tables.noises(queries)}  # one seed has no deviation
    assert "Enough for every arm: 203 on Fork-v0 and 1 on HalfCheetah-v5." in tables.enough(queries)
    tables.write(queries)
    assert "| Fork-v0 | bins | 1.58 | 0.45 | 100 | 203 |" in (text := (tmp_path / "study.md").read_text())
    assert tables.enough(queries) in text
    assert '<table class="noise">' in (page := write(queries).read_text())
    assert "201 ± 0.45" in page
    (line,) = [line for line in tables.summary(queries) if line[:2] == ("Fork-v0", "bins")]
    found = dict(zip(tables.SUMMARY, line, strict=True))
    assert (found["worst"], found["lower_quartile"], found["enough_episodes"]) == (200, 201, 203)
    alike = {key: row.changed(**{"return": 1.0, "diverged": False}) for key, row in rows.items()}
    assert "no number on Fork-v0" in tables.enough(Queries(sweep, alike))


def test_older_scores_are_reported_as_older(sweep, tmp_path):
    rows = {
        key: row.changed(evaluation_seed=None, episodes=None, error=None) for key, row in results.read(sweep).items()
    }
    queries = Queries(moved(sweep, tmp_path), rows, tmp_path / "runs")
    tables.write(queries)
    for text in ((tmp_path / "study.md").read_text(), write(queries).read_text()):
        assert "in the run&#39;s last evaluation, from its own start states" in text.replace("'", "&#39;")
        assert "common to all runs (seed 0)" not in text
        assert "Enough for every arm" not in text


def test_tables_that_are_written_meanwhile_have_the_answer(sweep, tmp_path):
    """So an interrupted sweep leaves no file without its conclusion."""
    rows = results.read(sweep)
    tables.write(Queries(moved(sweep, tmp_path), rows))
    text = (tmp_path / "study.md").read_text()
    assert all(paragraph.rest in text for paragraph in answer(Queries(moved(sweep, tmp_path), rows)))
    publish(Queries(moved(sweep, tmp_path), rows, tmp_path / "runs"), "none", lambda _: None)
    assert (tmp_path / "study.md").read_text() == text


def test_a_reader_finds_the_tables_whole(sweep, tmp_path, monkeypatch):
    """If a file cannot be written completely, the old one stays."""
    rows, files = results.read(sweep), ("study.md", "study.csv", "study.summary.csv", "study.svg")
    tables.write(Queries(moved(sweep, tmp_path), rows))
    before = [(tmp_path / name).read_bytes() for name in files]

    def fails(study):
        raise MemoryError

    monkeypatch.setattr(tables, "summary", fails)
    del rows[Key("Fork-v0", "bins", 0)]
    with pytest.raises(MemoryError):
        tables.write(Queries(moved(sweep, tmp_path), rows))
    assert [(tmp_path / name).read_bytes() for name in files] == before


def test_an_arm_s_name_is_text_in_every_table(hostile, tmp_path):
    """It cannot end a cell or begin an element, or markup of the terminal."""
    rows = results.read(hostile)
    queries = Queries(moved(hostile, tmp_path), rows)
    tables.write(queries)
    text = (tmp_path / "study.md").read_text()
    assert re.findall(r"(?<!\\)<", text) == []
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| Fork")}
    columns = {
        5,
        len(tables.COLUMNS),
        len(tables.NOISE),
        len(problems.COLUMNS),
        len(settled.COLUMNS),
        len(settled.matrix(queries)[0]),
        len(tables.OUTCOMES),
    }
    assert cells == {number + 1 for number in columns}
    with (tmp_path / "study.csv").open() as file:
        assert HOSTILE in {row["arm"] for row in csv.DictReader(file)}
    with (console := Terminal(width=300)).capture() as shown:
        console.print(tables.terminal(Queries(hostile, rows)))
    assert HOSTILE in shown.get()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_table_takes_no_name_for_a_formula(start, sweep, tmp_path):
    """In either file; numbers stay numbers, negative ones as well."""
    name = f"{start}HYPERLINK(1)"
    cells = [Cell(cell.key._replace(arm=name), cell.settings) for cell in sweep.cells if cell.key.arm == "bins"]
    rows = [row.changed(arm=name, **{"return": -1.5}) for row in results.read(sweep).values() if row.arm == "bins"]
    asked = dataclasses.replace(moved(sweep, tmp_path), cells=cells, baseline=None)
    tables.write(Queries(asked, {row.key: row for row in rows}))
    for file in ("study.csv", "study.summary.csv"):
        with (tmp_path / file).open(newline="") as sheet:
            lines = [*csv.DictReader(sheet)]
        assert {line["arm"] for line in lines} == {f"'{name}"}
        assert {line.get("return") or line["iqm"] for line in lines} == {"-1.5"}


def test_the_design_is_shown_everywhere_and_is_no_markup(sweep, tmp_path):
    shown = dataclasses.replace(moved(sweep, tmp_path), design={"Seeds": "0 to 9 <b>each</b>", "Changes": "none"})
    queries = Queries(shown, results.read(sweep), tmp_path / "runs")
    tables.write(queries)
    assert "- **Seeds.** 0 to 9 \\<b>each\\</b>\n- **Changes.** none\n" in (tmp_path / "study.md").read_text()
    assert "<p><strong>Seeds.</strong> 0 to 9 &lt;b&gt;each&lt;/b&gt;</p>" in write(queries).read_text()
