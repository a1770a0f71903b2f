"""Sentences whose truth can be seen in the scores of the study."""

import shutil
from pathlib import Path

import pytest

from pgcontrol.experiment import results
from pgcontrol.experiment.report.page import write
from pgcontrol.experiment.study import Study
from pgcontrol.experiment.report.words import answer
from pgcontrol.experiment.sweep import read_sweep

COMMITTED = Path(__file__).parents[3] / "experiments"


@pytest.fixture(scope="module")
def told(sweep):
    study = Study(sweep, results.read(sweep), sweep.path.parent / "runs")
    return [f"{p.lead} {p.rest}".replace("\u00a0", " ") for p in answer(study)]


def test_who_won_by_how_much_and_how_sure(told):
    fork, cheetah, together, *_ = told
    assert "On Fork-v0, bins did best: 202 (95 % 200 to 204, 5 seeds)." in fork
    # 202 against 102, and every run of the one beats every run of the other
    assert "That is 100 (98 %) more than the baseline gaussian's 102" in fork
    assert "with probability 1 (1 … 1), which settles it" in fork
    assert "Clearly below the baseline: mixture (by 90)." in fork
    assert "With fewer than 3 seeds, as hints only: beta 150." in fork
    assert "bins made 33.3 steps a second where the baseline made 100" in fork
    # both have an IQM of 1,100; of 12 pairs bins win 6: 1,050 beats one, 1,150 two, 1,300 three
    assert "On HalfCheetah-v5" in cheetah
    assert "Not told apart from the baseline by these seeds: bins." in cheetah or "do not settle" in cheetah
    assert together.strip().startswith("Over the tasks together")
    assert "bins 0.75" in together  # the mean of 1 and 6/12


def test_what_failed_and_what_is_missing(told):
    trouble, missing = told[-2:]
    assert "On Fork-v0, diverged: mixture in 1 of 5 runs (last step 1,000)." in trouble
    assert "On Fork-v0, sharp: mixture in 5 of 5 runs." in trouble
    # runs that nobody has judged: their spread falls under 5 % of the half-range at 100 · ln 10 = 230 steps
    assert "On Fork-v0, the narrowest joint stays narrow: gaussian in 5 of 5 runs (from step 2" in trouble
    assert "1 of 24 runs are missing" in missing


@pytest.mark.parametrize("name", ["spectrum", "every_head_search"])
def test_rows_of_older_versions_are_still_readable(name, tmp_path):
    """Without joints, maps, provenance; of one seed, or without a baseline."""
    for suffix in (".yaml", ".jsonl"):
        shutil.copy(COMMITTED / f"{name}{suffix}", tmp_path)
    sweep = read_sweep(tmp_path / f"{name}.yaml")
    page = write(sweep, results.read(sweep), tmp_path / "runs")
    text = page.read_text()
    assert "did best" in text
    assert str(tmp_path) not in text
    assert page.stat().st_size < 2_000_000


def test_three_seeds_settle_nothing_but_one_may_see_where_they_lie():
    sweep = read_sweep(COMMITTED / "destruction.yaml")
    first, trouble = answer(Study(sweep, results.read(sweep), COMMITTED / "runs"))
    below, apart = first.rest.split("With every run below")[1].split("Not told apart")
    assert "npg x100" in below  # -492 at best, where the baseline has 3,835 at worst
    assert "gae-pg x1" in apart
    assert "npg x100" not in apart
    assert trouble.rest.index("destroyed: gae-pg x10 in 2 of 3 runs") < trouble.rest.index("sharp: ")
