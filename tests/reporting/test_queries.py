"""Queries on rows made by hand."""

import math

import pytest

from pgcontrol.reporting.queries import Queries, Reaches
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import read_sweep

YAML = """
question: Which?
budget: 300
arms: {gaussian: {head: gaussian}}
grid: {env: Reacher-v5, seed: 2, arm: gaussian}
"""
CURVES = {"steps": [100, 200, 300], "rollout/ep_rew_mean": [None, 0.0, 10.0], "time/time_elapsed": [1.0, 2.0, 4.0]}
LOW = CURVES | {"rollout/ep_rew_mean": [None, 0.0, 4.0]}


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(YAML)
    common = {
        "env": "Reacher-v5",
        "arm": "gaussian",
        "settings": {},
        "steps": 300,
        "seconds": 0.0,
        "date": "2026-01-01",
    }
    common |= {"return": 1.0, "sampled": None, "training": None}
    rows = [Row.read(common | {"seed": seed, "curves": curves}) for seed, curves in enumerate((CURVES, LOW))]
    return Queries(read_sweep(path), {row.key: row for row in rows})


def test_a_goal_is_reached_between_points_in_steps_as_in_seconds(study):
    assert study.reaches("Reacher-v5", "gaussian", 5.0) == Reaches([250.0, math.inf], [3.0, math.inf])
    assert study.reaches("Reacher-v5", "gaussian", 2.0) == Reaches([220.0, 250.0], [2.4, 3.0])


def test_a_run_that_knows_nothing_of_its_return_never_reaches_it(study):
    rows = {key: row.changed(curves={"steps": [100, 200, 300]}) for key, row in study.rows.items()}
    assert Queries(study.sweep, rows).reaches("Reacher-v5", "gaussian", -1.0) == Reaches([math.inf] * 2, [math.inf] * 2)


def test_a_run_that_took_no_time_by_its_row_has_a_rate(study):
    assert study.rate("Reacher-v5", "gaussian") == 3000  # as of one of the least time that a row can say


def test_joints_have_the_names_of_a_built_in_task_also_if_no_row_has_them(study):
    assert study.joints("Hopper-v5", 3) == ["thigh_joint", "leg_joint", "foot_joint"]
    assert study.joints("Other-v0", 2) == ["joint 0", "joint 1"]  # of a plug-in that a report does not load


def test_rows_are_in_the_order_of_the_yaml_in_whatever_order_the_runs_ended(study):
    ended = dict(reversed(study.rows.items()))
    assert [*Queries(study.sweep, ended).rows] == [cell.key for cell in study.sweep.cells]
