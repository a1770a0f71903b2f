"""The Gymnasium face walks the trajectories of Gymnasium's own SyncVectorEnv of the v5 envs."""

from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest

TERMINATE = {
    "Ant-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Walker2d-v5",
}


def walk_together(task: str, steps: int, dtype: type, **kwargs: Any) -> tuple[int, int]:
    """Step both under the same actions, comparing everything; return how many episodes terminated and truncated."""
    ours = gymnasium.make_vec(f"pgcontrol/{task}", num_envs=3, threads=2, **kwargs)
    theirs = gymnasium.make_vec(task, num_envs=3, vectorization_mode="sync", **kwargs)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    space: Any = theirs.single_action_space
    low, high = space.low, space.high
    rng = np.random.default_rng(0)
    ended = np.zeros(2, int)
    for t in range(steps):
        # every actuator has its own distribution: a permutation of actuators would show
        action = low + (high - low) * rng.beta(np.linspace(0.4, 1, len(low)), 0.7, (3, len(low)))
        obs, reward, terminated, truncated, infos = ours.step(action.astype(dtype))
        obs_, reward_, terminated_, truncated_, infos_ = theirs.step(action.astype(dtype))
        np.testing.assert_array_equal(obs, obs_, f"obs after step {t}")
        np.testing.assert_array_equal(terminated, terminated_)
        np.testing.assert_array_equal(truncated, truncated_)
        np.testing.assert_allclose(reward, reward_, rtol=0, atol=1e-9)
        for name, value in infos.items():
            np.testing.assert_allclose(value, infos_[name], rtol=0, atol=1e-9, err_msg=name)
            assert value.dtype == bool if name.startswith("_") else value.shape == (3,)
        assert {name for name in infos_ if "reward" in name or "penalty" in name} == set(infos)
        ended += terminated.sum(), truncated.sum()
    return int(ended[0]), int(ended[1])


def test_same_trajectories(v5):
    terminated, truncated = walk_together(v5, 2050, np.float32)
    assert terminated + truncated >= 3
    assert (terminated > 0) == (v5 in TERMINATE)


def test_same_trajectories_with_a_short_time_limit_and_actions_in_double(v5):
    terminated, truncated = walk_together(v5, 300, np.float64, max_episode_steps=8)
    assert truncated > 3
    assert terminated > 0 or v5 not in TERMINATE - {"Ant-v5", "Humanoid-v5"}


def test_seeds_and_masks_as_sync_vector_env_takes_them():
    ours = gymnasium.make_vec("pgcontrol/Reacher-v5", num_envs=4)
    theirs = gymnasium.make_vec("Reacher-v5", num_envs=4, vectorization_mode="sync")
    mask = np.array([True, False, False, True])
    resets: list[dict[str, Any]] = [
        {"seed": 7},
        {},
        {"seed": [3, 1, 4, 1]},
        {"seed": [None, 5, None, 9]},
        {"options": {"reset_mask": mask}},
        {"seed": 2, "options": {"reset_mask": mask}},
    ]
    action = np.full((4, 2), 0.3, np.float32)
    for kwargs in resets:
        # Gymnasium pops the mask out of the options it is given
        copies = [deepcopy(kwargs) for _ in range(2)]
        np.testing.assert_array_equal(ours.reset(**copies[0])[0], theirs.reset(**copies[1])[0])
        for _ in range(60):
            np.testing.assert_array_equal(ours.step(action)[0], theirs.step(action)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_actions_of_any_number_type(dtype):
    ours = gymnasium.make_vec("pgcontrol/Hopper-v5", num_envs=2)
    theirs = gymnasium.make_vec("Hopper-v5", num_envs=2, vectorization_mode="sync")
    ours.reset(seed=0)
    theirs.reset(seed=0)
    action = np.array([[1, 0, -1], [0, 1, 1]], dtype)
    np.testing.assert_allclose(ours.step(action)[1], theirs.step(action)[1], rtol=0, atol=1e-9)
