"""Stable-Baselines3's PPO on our environments: through its own make_vec_env, and batched."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from pgcontrol_envs import sb3
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

WHAT_ENDS = {"TimeLimit.truncated", "terminal_observation", "episode"}


def test_its_own_make_vec_env():
    env = make_vec_env("pgcontrol/HalfCheetah-v5", 2, seed=0, env_kwargs={"ctrl_cost_weight": 0.5})
    own = make_vec_env("HalfCheetah-v5", 2, seed=0, env_kwargs={"ctrl_cost_weight": 0.5})
    np.testing.assert_array_equal(env.reset(), own.reset())
    action = np.full((2, 6), 0.5, np.float32)
    mine: Any = env.step(action)
    theirs: Any = own.step(action)
    for one, other in zip(mine[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.slow  # starts processes
def test_its_own_make_vec_env_in_processes():
    env = make_vec_env("pgcontrol_envs:pgcontrol/Reacher-v5", 2, seed=0, vec_env_cls=SubprocVecEnv)
    np.testing.assert_array_equal(env.reset(), make_vec_env("Reacher-v5", 2, seed=0).reset())
    env.close()


@pytest.mark.parametrize("name", ["Hopper-v5", "Reacher-v5"])
def test_batched_is_what_its_own_dummy_vec_env_and_monitor_give(name):
    """Episodes that terminate, and episodes that are truncated."""
    ours: Any = sb3.make(name, 3, seed=5)
    theirs: Any = make_vec_env(name, 3, seed=5)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert ours.reset_infos == [{}] * 3
    rng, ended = np.random.default_rng(0), 0
    for _ in range(120):
        action = rng.uniform(-1, 1, (3, *theirs.action_space.shape)).astype(np.float32)
        obs, reward, done, infos = ours.step(action)
        obs_, reward_, done_, infos_ = theirs.step(action)
        np.testing.assert_array_equal(obs, obs_)
        np.testing.assert_allclose(reward, reward_, rtol=0, atol=1e-6)
        assert reward.dtype == np.float32
        np.testing.assert_array_equal(done, done_)
        for i in range(3):
            assert set(infos[i]) == (WHAT_ENDS if done[i] else {"TimeLimit.truncated"})
            assert infos[i]["TimeLimit.truncated"] == infos_[i]["TimeLimit.truncated"]
            if done[i]:
                np.testing.assert_array_equal(infos[i]["terminal_observation"], infos_[i]["terminal_observation"])
                for what in "rl":
                    assert infos[i]["episode"][what] == pytest.approx(infos_[i]["episode"][what], abs=1e-5)
                assert infos[i]["episode"]["t"] > 0
        ended += done.sum()
    assert ended >= 6


def test_learns_normalised_and_evaluated():
    env: Any = VecNormalize(sb3.make("pgcontrol/Hopper-v5", 4, seed=0, max_episode_steps=20, healthy_reward=0.0))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=2, seed=0, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(3 * 4 * 64)
    assert model.num_timesteps == 768
    assert any((p != q).any() for p, q in zip(model.policy.parameters(), before, strict=True))
    assert all(episode["l"] <= 20 for episode in model.ep_info_buffer or ())
    assert len(model.ep_info_buffer or ()) >= 38
    with warnings.catch_warnings(action="error"):  # it warns where nothing tells it whole returns
        scores: Any = evaluate_policy(model, env, n_eval_episodes=8, return_episode_rewards=True)
    returns, lengths = scores
    assert len(returns) == 8
    assert max(lengths) <= 20


def test_the_seed_is_for_the_first_reset_only():
    env = sb3.make("Reacher-v5", 2, seed=3)
    first = env.reset()
    np.testing.assert_array_equal(first, gymnasium.make_vec("Reacher-v5", 2).reset(seed=3)[0])
    assert (env.reset() != first).any()
    env.seed(3)
    np.testing.assert_array_equal(env.reset(), first)


def test_what_it_is_asked_for():
    env = sb3.make("Reacher-v5", 3)
    assert env.get_attr("dt") == [0.02] * 3
    assert env.get_attr("render_mode", [0]) == [None]
    assert env.env_is_wrapped(Monitor) == [True] * 3
    assert not env.has_attr("no_such_thing")
    assert env.get_images() == [None] * 3
    for wrong in (lambda: env.set_attr("dt", 1), lambda: env.env_method("reset")):
        with pytest.raises(AttributeError, match="all copies share one batch"):
            wrong()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task": "HalfCheeta-v5"}, "unknown task 'HalfCheeta-v5': did you mean HalfCheetah-v5"),
        ({"num_envs": 0}, "num_envs: expected at least 1, got 0"),
        ({"ctrl_cost": 1}, "unknown argument 'ctrl_cost': did you mean ctrl_cost_weight"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(arguments, says):
    with pytest.raises(ValueError, match=says) as error:
        sb3.make(**{"task": "HalfCheetah-v5"} | arguments)
    assert "\n" not in str(error.value)
