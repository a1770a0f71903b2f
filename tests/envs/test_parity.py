"""Our Gymnasium environments have the trajectories of Gymnasium's own SyncVectorEnv of the v5 envs."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import inspect
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pgcontrol_envs
import pytest
from pgcontrol_envs.task import GYMNASIUM_ASSETS
from pgcontrol_envs.values import keywords

TERMINATE = {
    "Ant-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Walker2d-v5",
}


NARROWER = {
    "healthy_z_range": (0.9, 1.2),
    "healthy_angle_range": (-0.05, 0.15),
    "healthy_state_range": (-2.0, 3.0),
    "contact_force_range": (-0.2, 0.5),
    "contact_cost_range": (-math.inf, 0.01),
    "impact_cost_range": (0.001, 0.5),
}


def other_value(task: str, name: str, folder: Path) -> Any:
    """A value that differs from the default of a keyword argument of Gymnasium's env."""
    default = inspect.signature(type(gymnasium.make(task).unwrapped).__init__).parameters[name].default
    if name == "xml_file":
        spec = mujoco.MjSpec.from_file(str(GYMNASIUM_ASSETS / default))
        spec.option.gravity = (0.1, 0.0, -7.0)
        (file := folder / f"{task}.xml").write_text(spec.to_xml())
        return str(file)
    if name == "main_body":
        return 3
    if name in NARROWER:
        return NARROWER[name]
    return not default if isinstance(default, bool) else default + 1 if isinstance(default, int) else 0.7 * default


def walk_together(task: str, steps: int, dtype: type = np.float32, mode: str = "NextStep", **kwargs: Any) -> list[int]:
    """Step both under the same actions, comparing everything; return how many episodes terminated and truncated."""
    ours = gymnasium.make_vec(f"pgcontrol/{task}", num_envs=3, threads=2, autoreset_mode=mode, **kwargs)
    theirs = gymnasium.make_vec(
        task, num_envs=3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **kwargs
    )
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]
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
        compare_infos(infos, infos_)
        ended += terminated.sum(), truncated.sum()
        over = terminated | truncated
        if t == 2 or (mode == "Disabled" and over.any()):
            over[0] |= t == 2  # episodes do not end together
            masked = (env.reset(options={"reset_mask": over})[0] for env in (ours, theirs))
            np.testing.assert_array_equal(*masked)
    return ended.tolist()


def compare_infos(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Our environments equal theirs, except for additional reward terms in `info`."""
    wanted = {name for name in theirs if any(word in name for word in ("reward", "penalty", "final"))}
    assert set(ours) == wanted
    for name, value in ours.items():
        if name == "final_info":
            compare_infos(value, theirs[name])
        elif name == "final_obs":
            assert value.dtype == object
            for mine, other in zip(value, theirs[name], strict=True):
                np.testing.assert_array_equal(mine, other)
        else:
            np.testing.assert_allclose(value, theirs[name], rtol=0, atol=1e-9, err_msg=name)
            assert value.dtype == bool if name.startswith("_") else value.shape == (3,)


def test_same_trajectories(v5_slow):
    """Past the longest time limit, 1,000 steps; `test_..._with_a_short_time_limit_...` reaches one many times."""
    terminated, truncated = walk_together(v5_slow, 1050)
    assert terminated + truncated >= 3
    assert (terminated > 0) == (v5_slow in TERMINATE)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_same_trajectories_with_a_short_time_limit_and_actions_in_double(v5_slow, mode):
    terminated, truncated = walk_together(v5_slow, 300, np.float64, mode, max_episode_steps=8)
    assert truncated > 3
    assert terminated > 0 or v5_slow not in TERMINATE - {"Ant-v5", "Humanoid-v5"}


def test_same_trajectories_without_a_time_limit():
    assert walk_together("Reacher-v5", 120, max_episode_steps=-1) == [0, 0]


def test_the_keyword_arguments_are_gymnasiums(v5):
    theirs = set(inspect.signature(type(gymnasium.make(v5).unwrapped).__init__).parameters)
    assert set(keywords(pgcontrol_envs.catalog()[v5])) == theirs - {"self", "default_camera_config", "kwargs"}


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass':UserWarning")
@pytest.mark.filterwarnings("ignore:.*uph_cost_weight has no effect:UserWarning")
def test_same_trajectories_under_every_keyword_argument(v5_slow, tmp_path):
    others = {name: other_value(v5_slow, name, tmp_path) for name in keywords(pgcontrol_envs.catalog()[v5_slow])}
    for name, value in others.items():
        walk_together(v5_slow, 12, **{name: value})
    walk_together(v5_slow, 60, **others)


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


@pytest.mark.filterwarnings("ignore:MuJoCo in env 1:UserWarning")
def test_a_simulation_that_breaks_down_continues_as_gymnasiums_does():
    ours: Any = gymnasium.make_vec("pgcontrol/HalfCheetah-v5", num_envs=3, max_episode_steps=20)
    theirs: Any = gymnasium.make_vec("HalfCheetah-v5", num_envs=3, vectorization_mode="sync", max_episode_steps=20)
    for env in (ours, theirs):
        env.reset(seed=0)
    action = np.full((3, 6), 0.5, np.float32)
    for t in range(30):
        if t == 5:
            ours.envs.physics.qvel[1, 0] = theirs.envs[1].unwrapped.data.qvel[0] = 1e12
        mine, other = ours.step(action), theirs.step(action)
        for one, two in zip(mine[:4], other[:4], strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-9, err_msg=f"step {t}")
