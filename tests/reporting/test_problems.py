"""The table of runs with a problem."""

from dataclasses import replace

import numpy as np

from pgcontrol.reporting import problems, tables
from pgcontrol.reporting.page import write
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import row_of

YAML = """
arms: {gaussian: {head: gaussian}, bins: {head: binned}}
baseline: gaussian
grid: {env: [Hopper-v5, Ant-v5], seed: 4}
"""
VERDICTS = {0: "stuck", 1: "suspected, stuck", 2: "sharp", 3: "healthy"}


def study(path, verdicts) -> Queries:
    """On Hopper, two of four runs of bins have half the score of all others."""
    (path / "heads.yaml").write_text(YAML)
    sweep, rows = read_sweep(path / "heads.yaml"), {}
    for cell in sweep.cells:
        env, arm, seed = cell.key
        odd = (env, arm) == ("Hopper-v5", "bins")
        score = 50.0 if odd and seed < 2 else 100.0
        rows[cell.key] = row_of(cell, **{"return": score, "verdict": verdicts[seed] if odd else "healthy"})
    return Queries(sweep, rows, path)


def test_a_difference_that_is_due_to_some_runs_disappears_without_them(tmp_path):
    queries = study(tmp_path, VERDICTS)
    base, bins, *every = problems.table(queries)
    assert base == ("Hopper-v5", "gaussian", "4", "none", "4", "100", "100", "", "")
    assert bins == ("Hopper-v5", "bins", "4", "2 stuck, 1 suspected", "2", "75", "100", "−25\u00a0%", "0\u00a0%")
    assert every[0] == ("all tasks together", "gaussian", "8", "none", "8", "", "", "", "")
    # on both tasks, 16 pairs each: a quarter of them has a difference of a half, so the median is 0
    assert every[1] == ("all tasks together", "bins", "8", "2 stuck, 1 suspected", "6", "", "", "0\u00a0%", "0\u00a0%")
    tables.write(queries)
    assert "| Hopper-v5 | bins | 4 | 2 stuck, 1 suspected | 2 | 75 | 100 |" in (tmp_path / "heads.md").read_text()
    assert '<table class="problems">' in write(queries).read_text()


def test_without_problems_there_is_no_table(tmp_path):
    queries = study(tmp_path, dict.fromkeys(range(4), "sharp"))
    assert problems.table(queries) == []
    assert '<table class="problems">' not in write(queries).read_text()


def test_if_every_run_has_a_problem_nothing_is_left(tmp_path):
    _, bins, *_, together = problems.table(study(tmp_path, dict.fromkeys(range(4), "stuck")))
    assert bins[3:] == ("4 stuck", "0", "75", "–", "−25\u00a0%", "–")
    assert together[7:] == ("0\u00a0%", "–")  # the other task alone would hide this one


def test_over_all_tasks_the_difference_is_the_median_of_all_pairs(tmp_path):
    queries = study(tmp_path, VERDICTS)
    worse = {
        key: replace(row, evaluated=row.score - 10) if row.arm == "bins" else row for key, row in queries.rows.items()
    }
    *_, together = problems.table(Queries(queries.sweep, worse, tmp_path))
    assert together[7:] == ("−10\u00a0%", "−10\u00a0%")


def test_one_task_needs_no_line_for_all(tmp_path):
    queries = study(tmp_path, VERDICTS)
    one = {key: row for key, row in queries.rows.items() if row.env == "Hopper-v5"}
    assert [line[0] for line in problems.table(Queries(queries.sweep, one, tmp_path))] == ["Hopper-v5"] * 2


def test_a_run_that_lost_its_spread_far_below_its_other_seeds_is_suspected(tmp_path):
    """One seed of bins rises to 30 and loses its spread first; the others rise to 100, with the same spread."""
    (tmp_path / "heads.yaml").write_text(YAML)
    sweep, rows = read_sweep(tmp_path / "heads.yaml"), {}
    points = [int(x) for x in np.linspace(10_000, 1_000_000, 50)]
    narrowing = np.maximum(0.4 - np.arange(50) / 40, 0.15).tolist()
    for cell in sweep.cells:
        env, arm, seed = cell.key
        top = 30.0 if (env, arm, seed) == ("Hopper-v5", "bins", 2) else 100.0
        curves = {"steps": points, "rollout/ep_rew_mean": np.linspace(0, top, 50).tolist()}
        spread = {"steps": points, "joints": [narrowing] * 3}
        values = {"return": top, "training": top, "curves": curves, "spread": spread, "steps": 1_000_000}
        rows[cell.key] = row_of(cell, **values, verdict="healthy")
    queries = Queries(sweep, rows, tmp_path)
    found = problems.of(queries, [*rows.values()])
    assert [row.key for row in found["suspected"]] == [("Hopper-v5", "bins", 2)]
    alone = Queries(sweep, {key: row for key, row in rows.items() if key.seed == 2}, tmp_path)
    assert "suspected" not in problems.of(alone, [*alone.rows.values()])
    judged = {key: replace(row, verdict="suspected") for key, row in rows.items()}  # each run is counted once
    again = problems.of(Queries(sweep, judged, tmp_path), [*judged.values()])
    assert len(again["suspected"]) == len(judged)
    branched = {key: row.changed(proved=True) for key, row in rows.items()}  # branches know more than other seeds do
    assert "suspected" not in problems.of(Queries(sweep, branched, tmp_path), [*branched.values()])
