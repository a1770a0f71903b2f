"""Names of environments, and Gymnasium's environments as VecEnvs."""

from typing import Any

import gymnasium
import numpy as np
import pgcontrol_envs
import pytest
import torch


@pytest.mark.parametrize(
    ("env_id", "says"),
    [
        ("HalfCheeta-v5", "unknown env 'HalfCheeta-v5': did you mean HalfCheetah-v5"),
        ("halfcheetah", "did you mean HalfCheetah-v5"),
        ("Pong", "expected one of Ant-v5, .*, gym:ID"),
        ("gym:Pendulum-v7", "did you mean gym:Pendulum-v1"),
        ("gym:Pendulun-v1", "did you mean gym:Pendulum-v1"),
        ("gym:HalfCheetah-v2", r"did you mean gym:HalfCheetah-v5( or gym:pgcontrol/HalfCheetah-v5)?\?"),
        ("gym:tests.envs.worlds:Homeless-v0", r"No module named 'no_such_module'$"),
        ("gym:HalfCheetah-v9", r"did you mean gym:HalfCheetah-v5( or gym:pgcontrol/HalfCheetah-v5)?\?"),
        ("gym:tests.envs.worlds:Pictur-v0?x=1", r"did you mean gym:tests.envs.worlds:Picture-v0\?x=1\?"),
        ("gym:no_such_package:Thing-v0", "unknown env 'gym:no_such_package:Thing-v0': No module named"),
        ("gym:a:b:c", "unknown env"),
        ("gym:.:Thing-v0", "plug-in '.': must be the path of a .py file or the name of a module"),
        ("gym:", "unknown env"),
        ("", "expected one of Ant-v5"),
    ],
)
def test_unknown_envs(env_id, says):
    with pytest.raises(pgcontrol_envs.UnknownEnv, match=says) as error:
        pgcontrol_envs.make(env_id, 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("env_id", "num_envs", "threads", "says"),
    [
        ("HalfCheetah-v5", 0, 0, "num_envs: expected at least 1, got 0"),
        ("HalfCheetah-v5", 1, -1, "threads: expected 0"),
        (
            "Hopper-v5?frame_skip=99999999999",
            1,
            0,
            "expected a whole number from 1 to 10000, got 99999999999",
        ),
        ("Go1-v0?speeds=[[1],2]", 1, 0, "speeds: expected two numbers in ascending order from -1000 to 1000, got"),
        ("gym:Hopper?foo=1", 1, 0, "foo"),
        ("gym:CartPole-v1", 1, 0, r"gym:CartPole-v1: expected a Box as action space, got Discrete\(2\)"),
        ("gym:FrozenLake-v1", 1, 0, "gym:FrozenLake-v1: expected a Box as observation space"),
        ("gym:tests.envs.worlds:Unbounded-v0", 1, 0, "expected bounded actions"),
    ],
)
def test_impossible_envs(env_id, num_envs, threads, says):
    with pytest.raises(ValueError, match=says) as error:
        pgcontrol_envs.make(env_id, num_envs, threads=threads)
    assert "\n" not in str(error.value)


def test_another_open_environment_does_not_change_an_error():
    kept = pgcontrol_envs.make("gym:Pendulum-v1", 1)
    with pytest.raises(ValueError, match="gg") as error:
        pgcontrol_envs.make("gym:Pendulum-v1?gg=3", 1)
    assert not isinstance(error.value, pgcontrol_envs.OneEngine)
    kept.close()


def test_no_environment_is_reset():
    assert pgcontrol_envs.make("Hopper-v5", 2).reset(torch.zeros(2, dtype=torch.bool)).shape == (0, 11)


@pytest.mark.parametrize("name", ["Pendulum-v1", "Pusher-v5", "tests.envs.worlds:Picture-v0"])
def test_gymnasium_envs_speak_the_same_protocol(name):
    env = pgcontrol_envs.make(f"gym:{name}", 2, seed=4)
    alone: list[Any] = [gymnasium.make(name) for _ in range(2)]
    obs = env.reset()
    for i in range(2):
        np.testing.assert_array_equal(obs[i].numpy(), alone[i].reset(seed=4 + i)[0].reshape(-1))
    assert obs.dtype == torch.float64
    assert env.task is None
    assert not env.exact_resume
    assert env.time_limit is not None
    assert env.time_limit == alone[0].spec.max_episode_steps
    assert env.control_dt > 0
    rng = np.random.default_rng(0)
    space = alone[0].action_space
    resets = 0
    for _ in range(2 * env.time_limit + 5):
        action = rng.uniform(space.low, space.high, (2, *space.shape)).astype(np.float32)
        step = env.step(torch.from_numpy(action.reshape(2, -1)))
        for i in range(2):
            seen, reward, terminated, truncated, _ = alone[i].step(action[i].astype(space.dtype))
            np.testing.assert_array_equal(step.obs[i].numpy(), seen.reshape(-1))  # the final one included
            assert step.reward[i] == reward
            assert (step.terminated[i], step.truncated[i]) == (terminated, truncated)
            if terminated or truncated:
                resets += 1
                np.testing.assert_array_equal(env.reset([i])[0].numpy(), alone[i].reset()[0].reshape(-1))
    assert resets >= 4
    env.close()


def test_gymnasium_envs_stand_still_where_inactive():
    env = pgcontrol_envs.make("gym:Pendulum-v1", 2)
    obs = env.reset()
    step = env.step(torch.ones(2, 1), torch.tensor([False, True]))
    assert torch.equal(step.obs[0], obs[0])
    assert not torch.equal(step.obs[1], obs[1])
    assert step.reward[0] == 0
    with pytest.raises(ValueError, match=r"expected actions of shape \(2, 1\), got \(2, 2\)"):
        env.step(torch.ones(2, 2))


def test_gymnasium_envs_resume_with_new_episodes_from_the_saved_streams():
    env, other = (pgcontrol_envs.make("gym:Pendulum-v1", 2, seed=seed) for seed in (0, 1))
    env.reset()
    other.reset()
    _, extra = env.state()
    other.load_state({}, extra)
    following = other.step(torch.zeros(2, 1)).obs
    env.load_state({}, extra)
    assert torch.equal(env.step(torch.zeros(2, 1)).obs, following)
    with pytest.raises(ValueError, match="expected 2 x gym:Pendulum-v1, found 1 x gym:Pendulum-v1"):
        other.load_state(*pgcontrol_envs.make("gym:Pendulum-v1", 1).state())


def test_reward_terms_and_positions_of_gymnasium_envs():
    env = pgcontrol_envs.make("gym:HalfCheetah-v5", 2)
    env.reset()
    step = env.step(torch.ones(2, 6))
    assert set(step.terms) == {"reward_forward", "reward_ctrl"}
    torch.testing.assert_close(step.terms["reward_forward"] + step.terms["reward_ctrl"], step.reward)
    qpos = env.qpos(0)
    assert qpos is not None
    assert qpos.shape == (9,)
    assert pgcontrol_envs.make("gym:Pendulum-v1", 1).qpos(0) is None


def test_our_own_face_can_be_named_through_its_module():
    env = pgcontrol_envs.make("gym:pgcontrol_envs:pgcontrol/Reacher-v5", 2, seed=1)
    ours = pgcontrol_envs.make("Reacher-v5", 2, seed=1)
    assert torch.equal(env.reset(), ours.reset())
    action = torch.full((2, 2), 0.5)
    for t in range(50):
        step, mine = env.step(action), ours.step(action)
        assert torch.equal(step.obs, mine.obs)
        assert step.truncated.all() == mine.truncated.all() == (t == 49)
