"""The Gymnasium environments as users of Gymnasium use them."""

import json
import math
import re
import subprocess
import sys
import warnings
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
from pgcontrol_envs.to_gymnasium import GymEnv, GymVectorEnv, gymnasium_id


def make_vec(**arguments: Any) -> Any:
    """Two Hoppers by default."""
    usual: dict[str, Any] = {"num_envs": 2}
    return gymnasium.make_vec("pgcontrol/Hopper-v5", **usual | arguments)


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
    """Minari makes an environment again from the entry point that a dataset stores."""
    said = json.loads((FIXTURES / "2026_11" / "dataset" / "metadata.json").read_text())["env_spec"]
    assert gymnasium.make(EnvSpec.from_json(said)).reset(seed=0)[0].shape == (4,)


def test_vector_env_contract(task):
    """The checks of Gymnasium's own tests of vector envs: spaces, types, metadata, determinism."""
    env: Any = gymnasium.make_vec(gymnasium_id(task), num_envs=3)
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


@pytest.mark.parametrize("mode", ["vector_entry_point", None, "sync", "async"])
def test_every_mode_of_vectorization_is_the_same(mode):
    """With keyword arguments, a time limit, and more threads than copies need."""
    settings = {"healthy_reward": 0.25, "healthy_z_range": [1.1, 1.3], "max_episode_steps": 6, "threads": 2}
    env, usual = make_vec(vectorization_mode=mode, **settings), make_vec(**settings)
    np.testing.assert_array_equal(env.reset(seed=1)[0], usual.reset(seed=1)[0])
    for _ in range(20):
        action = np.full((2, 3), 0.3, np.float32)
        one, other = env.step(action), usual.step(action)
        for mine, theirs in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert set(one[4]) == set(other[4])
    assert env.spec.kwargs["healthy_reward"] == 0.25
    env.close()


@pytest.mark.parametrize("limit", [-1, None, 3, np.int64(3)])
def test_max_episode_steps(limit):
    env = gymnasium.make_vec("pgcontrol/Reacher-v5", num_envs=1, max_episode_steps=limit)
    env.reset(seed=0)
    cut = [bool(env.step(np.zeros((1, 2)))[3]) for _ in range(60)]
    assert (cut.index(True) if True in cut else None) == {-1: None, None: 49, 3: 2}[limit]


def test_without_autoreset_an_ended_episode_is_to_be_reset():
    env = make_vec(autoreset_mode="Disabled", max_episode_steps=2)
    env.reset(seed=0)
    env.reset(options={"reset_mask": np.array([True, False])})
    env.step(np.zeros((2, 3)))
    truncated = env.step(np.zeros((2, 3)))[3]
    env.reset(options={"reset_mask": np.array([True, False]) & truncated})
    with pytest.raises(gymnasium.error.ResetNeeded, match="the episodes of the envs 1 have ended: reset them") as error:
        env.step(np.zeros((2, 3)))
    assert "\n" not in str(error.value)
    env.reset(options={"reset_mask": np.array([False, True])})
    assert env.step(np.zeros((2, 3)))[1].all()


def test_what_mujoco_users_look_for():
    env: Any = gymnasium.make("pgcontrol/Hopper-v5", frame_skip=2)
    inner, envs = env.unwrapped, make_vec(frame_skip=2)
    obs, _ = env.reset(seed=4)
    assert inner.spec.id == "pgcontrol/Hopper-v5"
    assert (inner.dt, inner.frame_skip, envs.dt) == (0.004, 2, 0.004)
    assert inner.model.nq == envs.model.nq == 6
    np.testing.assert_array_equal(inner.data.qpos[1:], obs[:5])
    obs = env.step(np.ones(3))[0]
    np.testing.assert_array_equal(inner.data.qpos[1:], obs[:5])
    assert inner.data.time == inner.dt
    inner.set_state(qpos := np.arange(6) / 10, np.zeros(6))
    np.testing.assert_array_equal(inner.data.qpos, qpos)
    assert inner.data.body("torso").xpos[0] == 0.0
    # the generator that resets draw from is the env's own
    assert inner.np_random_seed == 4
    env.reset(seed=4)
    inner.np_random.uniform()
    off = env.reset()[0]
    env.reset(seed=4)
    assert (env.reset()[0] != off).all()
    theirs: Any = gymnasium.make_vec("Hopper-v5", num_envs=2, vectorization_mode="sync")
    states = ([g.bit_generator.state for g in (one.reset(seed=7), one.np_random)[1]] for one in (envs, theirs))
    assert next(states) == next(states)


def test_actions_may_lie_in_memory_in_any_order():
    ours = GymVectorEnv("Hopper-v5", 2)
    ours.reset(seed=1)
    actions = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    obs = ours.step(actions[:, ::-1])[0]
    ours.reset(seed=1)
    np.testing.assert_array_equal(ours.step(actions[:, ::-1].copy())[0], obs)


def test_a_state_of_another_shape_is_refused():
    env = GymEnv("Hopper-v5")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"qpos: expected shape \(6,\), got \(1,\)"):
        env.set_state(np.zeros(1), np.zeros(6))


def test_the_reward_of_a_suite_task_is_not_its_term():
    envs = GymVectorEnv("dm:cartpole-balance", 1)
    envs.reset(seed=0)
    _, reward, *_, infos = envs.step(np.zeros((1, 1)))
    reward *= 0
    assert infos["reward_task"][0] > 0


def test_threads_below_zero_are_refused():
    with pytest.raises(ValueError, match="threads: expected 0"):
        GymVectorEnv("Hopper-v5", 1, threads=-1)


def test_standard_wrappers():
    env = RecordEpisodeStatistics(NormalizeObservation(gymnasium.make_vec("pgcontrol/Reacher-v5", num_envs=2)))
    env.reset(seed=0)
    for _ in range(49):
        env.step(np.zeros((2, 2), np.float32))
    *_, infos = env.step(np.zeros((2, 2), np.float32))
    assert infos["episode"]["l"].tolist() == [50, 50]


def warnings_of_check(env_id: str, **kwargs: Any) -> set[str]:
    """The warnings of Gymnasium's check of an env."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check_env(gymnasium.make(env_id, **kwargs).unwrapped, skip_render_check=not kwargs)
    return {str(one.message) for one in found}


def test_a_single_env_passes_gymnasiums_own_check(task):
    about = "Box observation space m|Box action spaces"
    assert [text for text in warnings_of_check(gymnasium_id(task)) if not re.search(about, text)] == []


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass':UserWarning")
def test_the_check_warns_of_nothing_that_it_does_not_warn_of_in_gymnasiums_own(v5):
    assert warnings_of_check(f"pgcontrol/{v5}") <= warnings_of_check(v5)


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
        (
            lambda _: make_vec(autoreset_mode="Same"),
            "autoreset_mode: expected one of NextStep, SameStep, Disabled, got",
        ),
        (lambda _: make_vec(max_episode_steps=0), "max_episode_steps: expected a whole number, at least 1, or -1"),
        (lambda _: make_vec(max_episode_steps=-5), "max_episode_steps: .* got -5"),
        (lambda _: make_vec(max_episode_steps=2.5), "max_episode_steps: .* got 2.5"),
        (lambda _: make_vec(max_episode_steps=True), "max_episode_steps: .* got True"),
        (lambda _: make_vec(healthy_z_rang=(0, 1)), "Hopper-v5: unknown argument 'healthy_z_rang': did you mean"),
        (lambda _: make_vec(main_body=1), "unknown argument 'main_body': expected one of camera_id, camera_name, "),
        (lambda _: make_vec(healthy_z_range=(1, 0)), "healthy_z_range: expected two numbers in ascending order"),
        (lambda _: make_vec(healthy_reward="1"), "healthy_reward: expected a number"),
        (lambda _: make_vec(healthy_reward=math.nan), "healthy_reward: expected a number"),
        (lambda _: make_vec(reset_noise_scale=-1.0), "reset_noise_scale: expected a number, at least 0"),
        (lambda _: make_vec(terminate_when_unhealthy=1), "terminate_when_unhealthy: expected True or False, got 1"),
        (lambda _: make_vec(frame_skip=0), "frame_skip: expected a whole number from 1 to 10000, got 0"),
        (lambda _: make_vec(xml_file="no_such.xml"), "'no_such.xml': no such file"),
        (lambda _: make_vec(xml_file=3), "xml_file: expected the path of a file, got 3"),
        (lambda _: make_vec(num_envs=0), "num_envs: expected at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(wrong, says):
    env = make_vec()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=says) as error:
        wrong(env)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"healthy_z_rang": 1}, "unknown argument 'healthy_z_rang': did you mean healthy_z_range"),
        ({"autoreset_mode": "SameStep"}, "autoreset_mode is only for vector envs; .* vector_kwargs"),
    ],
)
def test_wrong_arguments_of_a_single_env_are_named_in_one_line(settings, says):
    with pytest.raises(ValueError, match=says) as error:
        gymnasium.make("pgcontrol/Hopper-v5", **settings)
    assert "\n" not in str(error.value)


def test_every_task_is_registered():
    ours = {name for name, task in pgcontrol_envs.catalog().items() if task.__module__.startswith("pgcontrol_envs.")}
    assert {gymnasium_id(name) for name in ours} <= set(gymnasium.registry)
