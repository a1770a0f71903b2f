"""The measurement of the speed of environments."""

import numpy as np
import pgcontrol_envs
import pytest
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.bench import env as bench


def test_table(monkeypatch, capsys):
    monkeypatch.setattr(bench, "REPEATS", 2)
    result = bench.run(["Hopper-v5"], num_envs=4, threads=1, seconds=0.01)
    contenders = result["envs"]["Hopper-v5"]
    assert {"vecenv", "bare", "sync"} <= set(contenders)
    for one in contenders.values():
        assert 0 < one["low"] <= one["steps_per_second"] <= one["high"]
    assert contenders["vecenv"]["vecenv_ratio"] == 1
    assert "Hopper-v5" in capsys.readouterr().out


def test_dm_control_is_measured_for_tasks_of_the_suite(monkeypatch):
    monkeypatch.setattr(bench, "REPEATS", 2)
    result = bench.run(["dm:ball_in_cup-catch"], num_envs=4, threads=1, seconds=0.01)
    assert {"vecenv", "bare", "dm_control"} <= set(result["envs"]["dm:ball_in_cup-catch"])


@pytest.mark.parametrize("env_id", ["Hopper-v5", "dm:finger-turn_hard", "dm:cheetah-run", "Go1-v0"])
def test_the_bare_batch_walks_the_same_trajectory(env_id, monkeypatch):
    batches = []

    class Spy(bench.Batch):
        def __init__(self, *args, **more):
            super().__init__(*args, **more)
            batches.append(self)

    monkeypatch.setattr(bench, "Batch", Spy)
    env = TaskVecEnv(pgcontrol_envs.catalog()[env_id], 5, 0, 1, time_limit=50)
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 5, len(env.action_low))).astype(np.float32)
    contenders = bench.vecenv(env, actions), bench.bare(env, actions, 120, 1)
    for _, begin, step in contenders:
        begin()
        for t in range(120):
            step(t)
    np.testing.assert_array_equal(batches[0].bind("qpos"), env.physics.qpos)
