"""Sentences of the report, compared with the scores of the study."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pgcontrol.measures.statistics import Interval, iqm
from pgcontrol.measures.verdicts import MEANINGS
from pgcontrol.reporting import figures, tables
from pgcontrol.reporting.narrative import answer, listed
from pgcontrol.reporting.page import common, write
from pgcontrol.reporting.problems import NARROW
from pgcontrol.reporting.queries import Queries
from pgcontrol.reporting.standings import Standing, standings
from pgcontrol.sweep import results
from pgcontrol.sweep.cell import Key
from pgcontrol.sweep.references import Reference
from pgcontrol.sweep.sweep import read_sweep

COMMITTED = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def study(sweep) -> Queries:
    return Queries(sweep, results.read(sweep), sweep.path.parent / "runs")


def saying(text: str, *facts: str) -> bool:
    """Whether one sentence of a text, or one part of it between semicolons, has all of these names and numbers."""
    parts = re.split(r"(?<=[.;]) ", text.replace("\u00a0", " "))
    return any(
        all(re.search(rf"(?<![\w,.]){re.escape(fact)}(?!\w|,\d|\.\d)", part) for fact in facts) for part in parts
    )


def pairs(standing: Standing) -> tuple[float, int]:
    """Pairs of runs won against the baseline, and all."""
    better = standing.better
    assert better is not None
    return better.won, better.pairs


def test_who_won_by_how_much_and_how_sure(study):
    together, fork, cheetah, *_ = (f"{p.lead} {p.rest}" for p in answer(study))
    bins, beta, gaussian, mixture = standings(study, "Fork-v0")
    assert [s.arm for s in (bins, beta, gaussian, mixture)] == ["bins", "beta", "gaussian", "mixture"]
    # 202 against 102, and every run of the one beats every run of the other
    assert pairs(bins) == (25, 25)
    assert (bins.settled, mixture.settled, beta.settled) == (1, -1, 0)
    assert saying(fork, "Fork-v0", "bins", "202", "200", "204", "5 seeds")
    assert saying(fork, "100", "98 %", "gaussian", "102")
    assert saying(fork, "gaussian", "25 of 25 pairs", "significant")
    assert saying(fork, "below", "mixture", "90")
    assert saying(fork, "hints", "beta 150")
    # both have an IQM of 1,100; of 12 pairs bins win 6: 1,050 beats one, 1,150 two, 1,300 three
    first, second = standings(study, "HalfCheetah-v5")
    assert first.score.estimate == second.score.estimate == 1100
    assert {s.settled for s in (first, second)} == {0}
    assert pairs(next(s for s in (first, second) if s.arm == "bins")) == (6, 12)
    assert saying(cheetah, "HalfCheetah-v5", "gaussian", "bins", "1,100")
    assert saying(together, "Highest", "bins", "Fork-v0")
    assert saying(together, "gaussian and bins (equal)", "HalfCheetah-v5")
    assert saying(together, "Fork-v0", "bins is significantly better than the baseline gaussian")
    assert saying(together, "Fork-v0", "mixture is significantly worse than the baseline gaussian")
    # over the two tasks: the mean of 1 and 6/12
    assert saying(together, "not significantly different", "bins (P = 0.75)")


def test_what_failed_and_what_is_missing(study):
    *_, trouble, milder, meanings, missing = (f"{p.lead} {p.rest}" for p in answer(study))
    assert trouble.startswith("Problems on Fork-v0. ")
    assert saying(trouble, "Diverged", "mixture", "1 of 5 runs", "1,000")
    assert saying(trouble, "Sharp", "mixture", "5 of 5 runs")
    # runs without a verdict: their spread falls under 5 % of the half-range at 100 · ln 10 = 230 steps
    assert saying(trouble, NARROW.capitalize(), "gaussian", "5 of 5 runs")
    onset = study.sharp(study.of("Fork-v0", "gaussian")[0])
    assert onset is not None
    assert 200 < onset.step < 260
    assert f"step {onset.step}: x" in trouble
    assert milder.startswith("Possible problems on HalfCheetah-v5. ")  # only that joints stay narrow
    assert meanings.strip() == f"“sharp”: {MEANINGS['sharp']}; “stuck”: {MEANINGS['stuck']}."
    assert saying(missing, "1 of 24 runs")


@pytest.mark.parametrize("name", ["spectrum", "every_head_search"])
def test_rows_of_older_versions_are_still_readable(name, tmp_path):
    """Without joints, maps, provenance; of one seed, or without a baseline."""
    for suffix in (".yaml", ".jsonl"):
        shutil.copy(COMMITTED / f"{name}{suffix}", tmp_path)
    sweep = read_sweep(tmp_path / f"{name}.yaml")
    assert results.read(sweep) == {}  # they were scored otherwise
    page = write(Queries(sweep, results.reported(sweep), tmp_path / "runs"))
    text = page.read_text()
    assert all(arm in text for arm in sweep.arms())
    assert str(tmp_path) not in text
    assert page.stat().st_size < 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multimodality", "every_head"])
def test_a_report_does_not_depend_on_the_order_of_the_rows(name, tmp_path):
    """Several workers add rows in the order in which runs end. These sweeps differ in budgets and in arms per task."""
    pages = []
    for turn in (1, -1):
        (folder := tmp_path / str(turn)).mkdir()
        shutil.copy(COMMITTED / f"{name}.yaml", folder)
        rows = (COMMITTED / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (folder / f"{name}.jsonl").write_text("".join(rows[::turn]))
        sweep = read_sweep(folder / f"{name}.yaml")
        queries = Queries(sweep, results.reported(sweep), folder / "runs")
        tables.write(queries)
        kept = ("md", "csv", "summary.csv")
        pages.append([write(queries).read_text(), *((folder / f"{name}.{end}").read_text() for end in kept)])
    assert len(pages[0][0]) > 50_000
    assert pages[0] == pages[1]


def test_the_page_lists_what_the_arms_differ_in_beyond_the_yaml(sweep, tmp_path):
    """As in the runs, whatever is recommended today; rows without settings are left out."""
    runs = {"gaussian": {"head.initial_std": 0.25, "head.min_std": 0.1}, "bins": {"head.initial_std": 0.75}}
    rows = results.read(sweep)
    rows = {key: row.changed(config=runs[key.arm]) if key.arm in runs else row for key, row in rows.items()}
    study = Queries(sweep, rows, tmp_path / "runs")
    assert "<li><code>head.initial_std: gaussian 0.25; bins 0.75</code></li>" in write(study).read_text()
    assert 'id="implied"' not in write(Queries(sweep, results.read(sweep), tmp_path / "runs")).read_text()


def study_of(sweep, **of) -> Queries:
    """The same study with other scores of runs on Fork, seed by seed, or what else is in their rows."""
    rows = dict(results.read(sweep))
    for arm, changes in of.items():
        for seed, change in enumerate(changes):
            key = Key("Fork-v0", arm, seed)
            rows[key] = rows[key].changed(**change)
    return Queries(sweep, rows, sweep.path.parent / "runs")


def said(study: Queries) -> str:
    return " ".join(f"{p.lead} {p.rest}" for p in answer(study)).replace("\u00a0", " ")


def test_the_first_sentence_is_the_answer_also_when_it_is_no(sweep):
    assert answer(study_of(sweep))[0].lead == "No arm has the highest score on every task."
    equal = [{"return": float(score)} for score in range(100, 105)]
    study = study_of(sweep, gaussian=equal, bins=equal, mixture=equal)
    assert answer(study)[0].lead == "No arm is significantly better than the baseline gaussian on any task."
    assert "P(better) is the probability that a run of an arm scores higher than a run of the baseline" in said(study)
    two = {key: row for key, row in study.rows.items() if key.arm in ("gaussian", "bins")}
    assert (
        answer(Queries(sweep, two))[0].lead
        == "bins is not significantly better than the baseline gaussian on any task."
    )
    without = Queries(dataclasses.replace(sweep, baseline=None), study.rows)
    assert answer(without)[0].lead == "No arm has the highest score on every task."
    high = {key: row.changed(**{"return": 2000.0}) if key.arm == "bins" else row for key, row in study.rows.items()}
    assert answer(Queries(without.sweep, high))[0].lead == "bins has the highest score on every task."


def test_settings_are_listed_once_for_all_and_once_for_each_arm(sweep):
    lent = {"algorithm.gamma": 0.99, "hidden": (64, 64), "seed": 3}
    rows = {
        key: row.changed(config=lent | {"head": row.arm, "head.bins": row.seed})
        for key, row in results.read(sweep).items()
    }
    settings = dict(common(Queries(sweep, rows)))
    assert settings["every run"] == {"algorithm.gamma": "0.99", "hidden": "64,64"}
    assert settings["bins"] == {"head": "bins"}  # its runs do not agree on how many
    assert settings["beta"] == {"head": "beta", "head.bins": "0"}  # one run


def test_which_arms_keep_more_than_one_route(sweep):
    def went(*taken: int) -> dict:
        entropy = None if max(taken) < 0 else 0.5
        return {"routes": {"names": ["left", "right"], "taken": list(taken), "entropy": entropy}}

    both, left, astray = went(0, 1, 0, 1), went(*[0] * 99, 1), went(-1, -1, -1, -1)
    text = said(study_of(sweep, gaussian=[left] * 5, bins=[both, both, left, left, astray], mixture=[astray] * 5))
    assert saying(text, "2 routes of Fork-v0", "bins in 2 of 5 runs", "80 %")
    assert saying(text, "one of them", "gaussian", "100 %")
    assert saying(text, "no run succeeds", "mixture")
    assert "routes of HalfCheetah" not in text


def test_runs_that_stand_still_far_below_the_best_arm_are_named(sweep):
    """The best arm, bins, ends at 195: two runs of the Gaussian stand still at 45 and 12."""

    def at(score: float) -> dict:
        row = results.read(sweep)[Key("Fork-v0", "gaussian", 0)].line
        return {"training": score, "curves": row["curves"] | {"rollout/ep_rew_mean": [0.0, 0.0, *[score] * 48]}}

    low = study_of(sweep, gaussian=[at(45.0), at(120.0), at(12.0), at(120.0), at(120.0)])
    reach = low.reach("Fork-v0")
    assert reach is not None
    assert reach.value == pytest.approx(202, rel=0.05)
    text = said(low)
    assert saying(text, "Stuck, while the median of bins reached 195", "gaussian in 2 of 5 runs (at 45 and 12)")
    assert saying(text, "mixture in 5 of 5 runs (at 9.64")
    assert not saying(text, "Stuck", "bins in")
    rising = {"curves": at(0)["curves"] | {"rollout/ep_rew_mean": np.linspace(0, 80, 50).tolist()}}
    assert not saying(said(study_of(sweep, gaussian=[rising] + [at(120.0)] * 4)), "Stuck", "gaussian in")


def test_every_verdict_except_healthy_is_listed(sweep):
    words = ["no gain, mode loss", "declined", "not judged", "averaging", "healthy"]
    text = said(study_of(sweep, gaussian=[{"verdict": word} for word in words]))
    for word in ("no gain", "mode loss", "declined", "averaging"):
        assert saying(text, word.capitalize(), "gaussian in 1 of 5 runs")
    assert "not judged" not in text
    assert "healthy" not in text


def test_names_with_commas_are_separated_by_semicolons():
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
    assert (np.diff(lost.normalised("Fork-v0", np.array([-50.0, 0, 202]))) > 0).all()


def test_three_seeds_settle_nothing_but_one_may_see_where_they_lie():
    sweep = read_sweep(COMMITTED / "destruction.yaml")
    study = Queries(sweep, results.reported(sweep), COMMITTED / "runs")
    (env,) = study.envs()
    found = {s.arm: s for s in standings(study, env)}
    assert {s.settled for s in found.values()} == {0}
    assert pairs(found["npg x100"])[0] == 0  # -492 at best, where the baseline has 3,835 at worst
    won, every = pairs(found["gae-pg x1"])
    assert 0 < won < every
    first, trouble, _ = (p.rest for p in answer(study))
    assert saying(first, "Every run", "npg x100")
    assert not saying(first, "Every run", "gae-pg x1")
    assert saying(first, "Not significantly different", "gae-pg x1")
    assert not saying(first, "Not significantly different", "npg x100")
    assert saying(trouble, "Destroyed", "gae-pg x10 in 2 of 3 runs")
    assert trouble.index("Destroyed: ") < trouble.index("Sharp: ")


def test_certainty_of_three_seeds_is_not_certainty():
    """On Hopper npg's three runs beat ppo's three: a bootstrap has nothing to resample there."""
    sweep = read_sweep(COMMITTED / "spectrum.yaml")
    study = Queries(sweep, results.reported(sweep), COMMITTED / "runs")
    npg = next(s for s in standings(study, "Hopper-v5") if s.arm == "npg")
    assert (pairs(npg), npg.settled) == ((9, 9), 0)
    text = said(study)
    assert saying(text, "ppo", "9 of 9 pairs", "one of two equal arms does so one time in 10")
    assert "1 (1 …" not in text


@pytest.mark.parametrize(
    ("scores", "even"),
    [([3, 3, 3, 3], True), ([1, 3, 3, 3, 3], True), ([1, 1, 3, 3, 3], False), ([-4, -4, -5.2], True)],
)
def test_seeds_are_even_if_their_lower_quartile_is_near_the_iqm(scores, even):
    estimate = float(iqm(np.array(scores, float)))
    assert Standing("a", scores, Interval(estimate, estimate, estimate), None, 1, None, None).even is even


def test_references_are_shown_with_the_results_but_do_not_change_them(sweep):
    rows = results.read(sweep)
    plain = Queries(sweep, rows)
    others = {"Fork-v0": [Reference("SB3 PPO", 201.5, 60.0, "v2"), Reference("A2C", 1_000.0)]}
    study = Queries(dataclasses.replace(sweep, references=others), rows)
    assert saying(said(study), "bins", "A2C 1,000 (0 of 5 runs", "SB3 PPO 202 (3 of 5 runs")
    # the best arm's interval is 200 to 204
    for value, word in ((1000.0, "less on Fork-v0"), (202.0, "as much or more"), (203.0, "in its interval")):
        others = {"Fork-v0": [Reference("SB3 PPO", value)]}
        assert saying(said(Queries(dataclasses.replace(sweep, references=others), rows)), word, "Fork-v0")
    several = {"Fork-v0": [Reference("PPO", 202.0, seeds=10), Reference("TRPO", 900.0, seeds=1)]}
    several["HalfCheetah-v5"] = [Reference("PPO", 1_100.5, note="v3", seeds="several")]
    text = said(Queries(dataclasses.replace(sweep, references=several), rows))
    assert saying(text, "report for several seeds on 1 of 2 tasks", "not on HalfCheetah-v5")
    assert several["HalfCheetah-v5"][0].about == "several seeds; v3"
    lines, before = tables.lines(study), tables.lines(plain)
    added = [line for line in lines if line not in before]
    assert added == [
        ("Fork-v0", "(SB3 PPO)", "202", *[""] * 6, "60 s per run; v2"),
        ("Fork-v0", "(A2C)", "1,000", *[""] * 6, "reported"),
    ]
    assert [line for line in lines if line not in added] == before
    assert list(tables.summary(study)) == list(tables.summary(plain))
    figure = figures.scores(study, "Fork-v0")
    assert 'class="reported"><title>SB3 PPO: 202, 60 s per run; v2</title>' in str(figure.drawing)
    assert "Rows without dots: references." in figure.caption
    assert "reported" not in str(figures.scores(study, "HalfCheetah-v5").drawing)
    assert figures.profiles(study) == figures.profiles(plain)


def test_a_weak_mode_is_reported_if_most_runs_of_the_arm_have_one(study, monkeypatch):
    def said(weak) -> str:
        monkeypatch.setattr(Queries, "weak_mode", lambda self, row: weak(row))
        return next(f"{p.lead} {p.rest}" for p in answer(study) if "Fork-v0" in p.lead)

    assert "its mode only" not in said(lambda row: False)
    assert "its mode only" not in said(lambda row: row.key.arm == "bins" and row.key.seed < 2)
    found = said(lambda row: row.key.arm == "bins")
    assert saying(found.replace("\n", " "), "The samples of bins score", "its mode only 202")
