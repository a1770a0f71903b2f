"""The Gymnasium face as Gymnasium's users meet it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pgcontrol_envs
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics

FIXTURES = Path(__file__).parent.parent / "fixtures"


def test_make_vec_both_ways():
    direct: Any = gymnasium.make_vec("pgcontrol/HalfCheetah-v5", num_envs=4)
    assert direct.num_envs == 4
    assert direct.spec is not None
    assert direct.spec.max_episode_steps == 1000
    code = """
import gymnasium
env = gymnasium.make_vec("pgcontrol_envs:pgcontrol/HalfCheetah-v5", num_envs=64)
print(env.reset(seed=0)[0].shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "(64, 17)", "")


def test_datasets_of_before_still_find_their_task():
    """Minari makes an environment anew from the entry point that a dataset carries."""
    said = json.loads((FIXTURES / "2026_11" / "dataset" / "metadata.json").read_text())["env_spec"]
    assert gymnasium.make(EnvSpec.from_json(said)).reset(seed=0)[0].shape == (4,)


def test_vector_env_contract(task):
    """What Gymnasium's own tests ask of its vector envs: spaces, types, metadata, determinism."""
    env: Any = gymnasium.make_vec(f"pgcontrol/{task}", num_envs=3)
    assert issubclass(type(env), VectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    if task in gymnasium.registry:
        assert env.metadata["render_fps"] == gymnasium.make(task).metadata["render_fps"]
    assert env.observation_space.shape == (3, *env.single_observation_space.shape)
    assert env.action_space.shape == (3, *env.single_action_space.shape)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(30)]
    walks = []
    for _ in range(2):
        obs, infos = env.reset(seed=11)
        assert infos == {}
        assert obs in env.observation_space
        walk = [obs]
        for action in actions:
            obs, reward, terminated, truncated, infos = env.step(action)
            assert obs in env.observation_space
            assert (reward.dtype, reward.shape) == (np.float64, (3,))
            assert (terminated.dtype, terminated.shape) == (truncated.dtype, truncated.shape) == (bool, (3,))
            assert all(f"_{name}" in infos for name in infos if not name.startswith("_"))
            walk.append(obs)
        walks.append(np.stack(walk))
    np.testing.assert_array_equal(*walks)
    assert len(np.unique(walks[0][0], axis=0)) == 3
    env.close()
    assert env.closed


def test_unseeded_envs_differ():
    first, second = (gymnasium.make_vec("pgcontrol/Hopper-v5", num_envs=2).reset()[0] for _ in range(2))
    assert (first != second).any()


def test_autoreset_comes_with_the_next_step():
    env = gymnasium.make_vec("pgcontrol/Reacher-v5", num_envs=2, max_episode_steps=3)
    env.reset(seed=0)
    env.reset(options={"reset_mask": np.array([True, False])})
    action = np.zeros((2, 2), np.float32)
    env.step(action)
    env.step(action)
    last, _, _, truncated, infos = env.step(action)
    assert truncated.all()
    assert infos["_reward_dist"].all()
    obs, reward, terminated, truncated, infos = env.step(action)
    assert (obs != last).any()
    assert not reward.any()
    assert not (terminated | truncated).any()
    assert infos == {}


def test_standard_wrappers():
    env = RecordEpisodeStatistics(NormalizeObservation(gymnasium.make_vec("pgcontrol/Reacher-v5", num_envs=2)))
    env.reset(seed=0)
    for _ in range(49):
        env.step(np.zeros((2, 2), np.float32))
    *_, infos = env.step(np.zeros((2, 2), np.float32))
    assert infos["episode"]["l"].tolist() == [50, 50]


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_single_env_passes_gymnasiums_own_check(task):
    check_env(gymnasium.make(f"pgcontrol/{task}").unwrapped, skip_render_check=True)


def test_a_single_env(v5):
    env: Any = gymnasium.make(f"pgcontrol/{v5}")
    reference: Any = gymnasium.make(v5)
    np.testing.assert_array_equal(env.reset(seed=2)[0], reference.reset(seed=2)[0])
    reference.action_space.seed(0)
    over = False
    while not over:
        action = reference.action_space.sample()
        mine, theirs = env.step(action), reference.step(action)
        np.testing.assert_array_equal(mine[0], theirs[0])
        assert abs(mine[1] - theirs[1]) < 1e-9
        assert mine[2:4] == theirs[2:4]
        over = mine[2] or mine[3]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda env: env.step(np.zeros((2, 4))), r"expected actions of shape \(2, 3\), got \(2, 4\)"),
        (lambda env: env.step(np.zeros(3)), r"expected actions of shape \(2, 3\), got \(3,\)"),
        (lambda env: env.reset(seed=[1]), "expected 2 seeds, got 1"),
        (lambda env: env.reset(options={"reset_mask": np.array([True])}), r"expected bool \(2,\) .* got bool \(1,\)"),
        (lambda env: env.reset(options={"reset_mask": np.array([0, 1])}), r"got int64 \(2,\)"),
        (lambda env: env.reset(options={"reset_mask": np.zeros(2, bool)}), "without a True"),
        (lambda _: gymnasium.make_vec("pgcontrol/Hopper-v5", render_mode="rgb_array"), "expected render_mode None"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(wrong, says):
    env = gymnasium.make_vec("pgcontrol/Hopper-v5", num_envs=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=says) as error:
        wrong(env)
    assert "\n" not in str(error.value)


def test_trains_under_stable_baselines3():
    """Someone else's learner, driving the face through nothing but Gymnasium's vector API."""
    ppo = pytest.importorskip("stable_baselines3").PPO
    from stable_baselines3.common.vec_env import VecEnv

    class Adapter(VecEnv):
        def __init__(self, env):
            self.env = env
            super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

        def reset(self):
            return self.env.reset(seed=0)[0]

        def step_async(self, actions):
            self.actions = actions

        def step_wait(self):
            obs, reward, terminated, truncated, _ = self.env.step(self.actions)
            over = terminated | truncated
            infos = [{"TimeLimit.truncated": bool(t and not d)} for t, d in zip(truncated, terminated, strict=True)]
            if over.any():
                for i in np.flatnonzero(over):
                    infos[i]["terminal_observation"] = obs[i]
                obs, _ = self.env.reset(options={"reset_mask": over})
            return obs, reward, over, infos

        def close(self):
            self.env.close()

        def get_attr(self, attr_name, indices=None):
            return [getattr(self.env, attr_name, None)] * self.num_envs

        def set_attr(self, attr_name, value, indices=None):
            raise NotImplementedError

        def env_method(self, method_name, *args, indices=None, **kwargs):
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class, indices=None):
            return [False] * self.num_envs

    env = Adapter(gymnasium.make_vec("pgcontrol/Hopper-v5", num_envs=4))
    model = ppo("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=2, seed=0, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(3 * 4 * 64)
    assert model.num_timesteps == 768
    assert any((p != q).any() for p, q in zip(model.policy.parameters(), before, strict=True))


def test_every_task_is_registered():
    assert {f"pgcontrol/{task}" for task in pgcontrol_envs.catalog()} <= set(gymnasium.registry)
