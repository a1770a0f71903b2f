"""Sentences whose truth can be seen in the scores of the study."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from pgcontrol.report import figures, tables
from pgcontrol.report.narrative import answer, listed
from pgcontrol.report.page import _common, write
from pgcontrol.report.queries import Study
from pgcontrol.sweep import results
from pgcontrol.sweep.references import Reference
from pgcontrol.sweep.sweep import Key, read_sweep

COMMITTED = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def told(sweep):
    study = Study(sweep, results.read(sweep), sweep.path.parent / "runs")
    return [f"{p.lead} {p.rest}".replace("\u00a0", " ") for p in answer(study)]


def test_who_won_by_how_much_and_how_sure(told):
    together, fork, cheetah, *_ = told
    assert "On Fork-v0, bins did best: 202 (95 % 200 to 204, 5 seeds)." in fork
    # 202 against 102, and every run of the one beats every run of the other
    assert "That is 100 (98 %) more than the baseline gaussian's 102" in fork
    assert "every run of it beats every run of gaussian (25 of 25 pairs), which settles it" in fork
    assert "Clearly below the baseline: mixture (by 90)." in fork
    assert "With fewer than 3 seeds, as hints only: beta 150." in fork
    assert "bins made 33.3 steps a second where the baseline made 100" in fork
    # both have an IQM of 1,100; of 12 pairs bins win 6: 1,050 beats one, 1,150 two, 1,300 three
    assert "On HalfCheetah-v5" in cheetah
    assert "Not told apart from the baseline by these seeds: bins." in cheetah or "do not settle" in cheetah
    # on HalfCheetah both have an IQM of 1,100
    assert together.startswith("Highest score: bins on Fork-v0; gaussian and bins alike on HalfCheetah-v5. ")
    assert "Clearly above the baseline gaussian: bins on Fork-v0. " in together
    assert "Clearly below the baseline gaussian: mixture on Fork-v0. Over 2 tasks together, " in together
    assert (
        "that a run beats one of gaussian: not clearly off a half: bins (0.75)." in together
    )  # the mean of 1 and 6/12


def test_what_failed_and_what_is_missing(told):
    trouble, missing = told[-2:]
    assert "On Fork-v0, diverged: mixture in 1 of 5 runs (last step 1,000)." in trouble
    assert "On Fork-v0, sharp: mixture in 5 of 5 runs (from step 2" in trouble
    # runs that nobody has judged: their spread falls under 5 % of the half-range at 100 · ln 10 = 230 steps
    assert "On Fork-v0, the narrowest joint stays narrow: gaussian in 5 of 5 runs (from step 2" in trouble
    assert "1 of 24 runs are missing" in missing


@pytest.mark.parametrize("name", ["spectrum", "every_head_search"])
def test_rows_of_older_versions_are_still_readable(name, tmp_path):
    """Without joints, maps, provenance; of one seed, or without a baseline."""
    for suffix in (".yaml", ".jsonl"):
        shutil.copy(COMMITTED / f"{name}{suffix}", tmp_path)
    sweep = read_sweep(tmp_path / f"{name}.yaml")
    page = write(Study(sweep, results.read(sweep), tmp_path / "runs"))
    text = page.read_text()
    assert "did best" in text
    assert str(tmp_path) not in text
    assert page.stat().st_size < 2_000_000


def test_the_page_lists_what_the_arms_differ_in_beyond_the_yaml(sweep, tmp_path):
    """As the runs had it, whatever is recommended today; rows that kept no settings say nothing."""
    runs = {"gaussian": {"head.initial_std": 0.25, "head.min_std": 0.1}, "bins": {"head.initial_std": 0.75}}
    rows = results.read(sweep)
    rows = {key: row.changed(config=runs[key.arm]) if key.arm in runs else row for key, row in rows.items()}
    study = Study(sweep, rows, tmp_path / "runs")
    assert "<li><code>head.initial_std: gaussian 0.25; bins 0.75</code></li>" in write(study).read_text()
    assert 'id="implied"' not in write(Study(sweep, results.read(sweep), tmp_path / "runs")).read_text()


def study_of(sweep, **of) -> Study:
    """The same study with other scores of runs on Fork, seed by seed, or what else is in their rows."""
    rows = dict(results.read(sweep))
    for arm, changes in of.items():
        for seed, change in enumerate(changes):
            key = Key("Fork-v0", arm, seed)
            rows[key] = rows[key].changed(**change)
    return Study(sweep, rows, sweep.path.parent / "runs")


def said(study: Study) -> str:
    return " ".join(f"{p.lead} {p.rest}" for p in answer(study)).replace("\u00a0", " ")


def test_settings_are_told_once_for_all_and_once_for_an_arm(sweep):
    lent = {"algorithm.gamma": 0.99, "hidden": (64, 64), "seed": 3}
    rows = {
        key: row.changed(config=lent | {"head": row.arm, "head.bins": row.seed})
        for key, row in results.read(sweep).items()
    }
    told = dict(_common(Study(sweep, rows)))
    assert told["every run"] == {"algorithm.gamma": "0.99", "hidden": "64,64"}
    assert told["bins"] == {"head": "bins"}  # its runs do not agree on how many
    assert told["beta"] == {"head": "beta", "head.bins": "0"}  # one run


def test_which_arms_keep_more_than_one_route(sweep):
    def went(*taken: int) -> dict:
        return {"routes": {"names": ["left", "right"], "taken": taken, "entropy": None if max(taken) < 0 else 0.5}}

    both, left, astray = went(0, 1, 0, 1), went(*[0] * 99, 1), went(-1, -1, -1, -1)
    told = said(study_of(sweep, gaussian=[left] * 5, bins=[both, both, left, left, astray], mixture=[astray] * 5))
    assert "Of the 2 routes of Fork-v0, more than one is kept by bins in 2 of 5 runs (success 80 %, route" in told
    assert "every run that succeeds ends on one of them with gaussian (success 100 %)" in told
    assert "no run succeeds with" in told
    assert "routes of HalfCheetah" not in told


def test_runs_that_did_not_learn_are_named(sweep):
    # training begins at 6.4 (20 steps of growth to 100), the best arm ends at 202: under 46 nothing was learned
    low = study_of(sweep, gaussian=[{"return": 45.0}, {}, {"return": 12.0}])
    told = said(low)
    mark = low.stuck("Fork-v0")
    assert mark is not None
    assert mark == pytest.approx(low.first("Fork-v0") + 0.2 * (202 - low.first("Fork-v0")))
    assert "gaussian seeds 0 and 2 (45 and 12)" in told
    assert "mixture in every run (at best 14)" in told
    assert "bins seed" not in told


def test_any_verdict_but_healthy_is_told(sweep):
    words = ["no gain, mode loss", "declined", "not judged", "averaging", "healthy"]
    told = said(study_of(sweep, gaussian=[{"verdict": word} for word in words]))
    for word in ("no gain", "mode loss", "declined", "averaging"):
        assert f"On Fork-v0, {word}: gaussian in 1 of 5 runs" in told
    assert "not judged" not in told
    assert "healthy" not in told


def test_lists_of_names_with_commas_are_told_apart():
    assert listed(["binned"]) == "binned"
    assert listed(["mixture", "binned", "token"]) == "mixture, binned and token"
    assert listed(["gaussian, entropy", "mixture"]) == "gaussian, entropy; mixture"
    assert listed(["a (by 1,284)", "b"]) == "a (by 1,284) and b"


def test_a_baseline_that_lost_is_no_yardstick(sweep):
    worse = study_of(sweep, gaussian=[{"return": -50.0, "training": -50.0}] * 5)
    assert worse.first("Fork-v0") > -50
    scores = worse.normalised("Fork-v0", np.array([-50.0, 0, 202]))
    assert (np.diff(scores) > 0).all()  # more is more
    assert scores[-1] == 1  # the best arm's
    goal = worse.goal("Fork-v0")
    assert goal is not None
    assert goal.value > worse.first("Fork-v0")
    assert "the best arm's" in goal.why
    none = [{"return": -50.0, "training": -50.0}] * 5
    lost = study_of(sweep, gaussian=none, bins=none, mixture=none, beta=none[:1])
    assert lost.goal("Fork-v0") is None
    assert lost.stuck("Fork-v0") is None
    assert (np.diff(lost.normalised("Fork-v0", np.array([-50.0, 0, 202]))) > 0).all()


def test_three_seeds_settle_nothing_but_one_may_see_where_they_lie():
    sweep = read_sweep(COMMITTED / "destruction.yaml")
    first, trouble = answer(Study(sweep, results.read(sweep), COMMITTED / "runs"))
    below, apart = first.rest.split("With every run below")[1].split("Not told apart")
    assert "npg x100" in below  # -492 at best, where the baseline has 3,835 at worst
    assert "gae-pg x1" in apart
    assert "npg x100" not in apart
    assert trouble.rest.index("destroyed: gae-pg x10 in 2 of 3 runs") < trouble.rest.index("sharp: ")


def test_certainty_of_three_seeds_is_not_certainty():
    """On Hopper npg's three runs beat ppo's three: a bootstrap has nothing to resample there."""
    sweep = read_sweep(COMMITTED / "spectrum.yaml")
    told = said(Study(sweep, results.read(sweep), COMMITTED / "runs"))
    assert (
        "every run of it beats every run of ppo (9 of 9 pairs), but so few runs come out so by chance one time" in told
    )
    assert "1 (1 …" not in told


def test_what_others_report_stands_beside_the_results_and_is_no_part_of_them(sweep):
    rows = results.read(sweep)
    plain = Study(sweep, rows)
    others = {"Fork-v0": [Reference("SB3 PPO", 201.5, 60.0, "v2"), Reference("A2C", 1_000.0)]}
    study = Study(dataclasses.replace(sweep, references=others), rows)
    reported = "beside the runs of bins: A2C 1,000 (0 of 5 runs reach it) and SB3 PPO 202 (3 of 5 runs reach it)."
    assert reported in said(study)
    assert "Beside the best of others' figures, the best arm scores less on Fork-v0. On Fork-v0, bins" in said(study)
    equal = {"Fork-v0": [Reference("SB3 PPO", 202.0)]}
    assert "the best arm scores as much or more on Fork-v0." in (
        said(Study(dataclasses.replace(sweep, references=equal), rows))
    )
    near = {"Fork-v0": [Reference("SB3 PPO", 203.0)]}  # the interval ends at 204
    within = "the best arm scores less, with theirs inside its interval on Fork-v0."
    assert within in said(Study(dataclasses.replace(sweep, references=near), rows))
    lines, before = tables.lines(study), tables.lines(plain)
    told = [line for line in lines if line not in before]
    assert told == [
        ("Fork-v0", "(SB3 PPO)", "202", "", "", "", "", "60 s a run; v2"),
        ("Fork-v0", "(A2C)", "1,000", "", "", "", "", "reported"),
    ]
    assert [line for line in lines if line not in told] == before
    assert list(tables.summary(study)) == list(tables.summary(plain))
    figure = figures.scores(study, "Fork-v0")
    assert 'class="reported"><title>SB3 PPO: 202, 60 s a run; v2</title>' in str(figure.drawing)
    assert "Without dots: figures of others." in figure.caption
    assert "reported" not in str(figures.scores(study, "HalfCheetah-v5").drawing)
    assert figures.profiles(study) == figures.profiles(plain)
