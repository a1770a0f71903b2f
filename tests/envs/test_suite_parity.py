"""The suite's tasks and dm_control's own have the same trajectories."""

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.bench import dm_control

SEED = 3


def walk(env_id: str, steps: int, episodes: int) -> None:
    """Step two of ours and one of dm_control's for each, with equal seeds and actions, and compare every step."""
    task = pgcontrol_envs.catalog()[env_id]
    derived = tuple(dict.fromkeys((*task.derived, "sensordata")))  # read by the test, if not by the task
    ours = TaskVecEnv(type("Read", (task,), {"derived": derived, "__module__": task.__module__}), 2, SEED, threads=1)
    theirs = [dm_control.load(env_id, SEED + i) for i in range(2)]
    size = len(ours.action_low)
    actions = np.random.default_rng(0).uniform(-1.2, 1.2, (episodes, steps, 2, size)).astype(np.float32)
    for episode in actions:
        obs, expected = ours.reset(), [env.reset() for env in theirs]
        compare(ours, obs, theirs, expected)
        for action in episode:
            step, expected = (
                ours.step(torch.from_numpy(action)),
                [e.step(a) for e, a in zip(theirs, action, strict=True)],
            )
            compare(ours, step.obs, theirs, expected)
            np.testing.assert_allclose(step.reward, [one.reward for one in expected], rtol=0, atol=1e-9)
            np.testing.assert_array_equal(step.truncated, [one.last() for one in expected])
            assert not step.terminated.any()


def compare(ours, obs, theirs, expected):
    for i, (env, step) in enumerate(zip(theirs, expected, strict=True)):
        np.testing.assert_array_equal(ours.physics.qpos[i], env.physics.data.qpos)
        np.testing.assert_array_equal(ours.physics.qvel[i], env.physics.data.qvel)
        np.testing.assert_array_equal(ours.physics.bind("sensordata")[i], env.physics.data.sensordata)
        np.testing.assert_allclose(obs[i], dm_control.flat(step.observation), rtol=0, atol=1e-9)


def test_it_walks_as_in_dm_control(suite: str):
    walk(suite, 100, 2)


@pytest.mark.parametrize("env_id", ["dm:manipulator-bring_ball", "dm:swimmer-swimmer6", "dm:humanoid-run"])
def test_starts_that_are_drawn_in_several_ways(env_id: str):
    """Includes rare ones: a ball in the hand or at the target, a near target, a posture that is drawn again."""
    walk(env_id, 1, 60)


@pytest.mark.suite
@pytest.mark.parametrize("env_id", dm_control.benchmarking())
def test_it_walks_as_in_dm_control_to_the_end(env_id: str):
    walk(env_id, 1000, 2)
