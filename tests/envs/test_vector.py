"""Laws of VecEnv: explicit reset, random streams, threads, exact continuation."""

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.laws import tasks as laws
from pgcontrol.laws.base import laws_of
from pgcontrol.laws.tasks import actions, play
from tests.laws.asking import ask


def short(task: str, num_envs: int, time_limit: int = 40) -> TaskVecEnv:
    return laws.short(pgcontrol_envs.catalog()[task], num_envs, time_limit=time_limit)


@pytest.mark.parametrize("law", laws_of(laws))
def test_law(law, task):
    ask(laws, law, pgcontrol_envs.catalog()[task])


def test_shapes_and_types(task):
    env = pgcontrol_envs.make(task, 3, seed=1)
    obs = env.reset()
    assert obs.shape == (3, env.obs_size + env.privileged)
    assert obs.dtype == torch.float64
    for mine in (env.action_low, env.action_high):
        assert mine.dtype == torch.float32
        assert mine.shape == env.action_low.shape
    assert env.env_id == task
    assert env.task is not None
    assert env.task.id == task
    assert env.exact_resume
    step = env.step(actions(env, 1)[0])
    assert step.obs.shape == obs.shape
    assert step.obs.dtype == step.reward.dtype == torch.float64
    assert step.terminated.dtype == step.truncated.dtype == torch.bool
    for tensor in (step.reward, step.terminated, step.truncated, *step.terms.values()):
        assert tensor.shape == (3,)
    qpos = env.qpos(2)
    assert qpos is not None
    assert qpos.shape == (env.task.model.nq,)
    env.close()


def test_final_observation_is_true_and_reset_is_explicit():
    limited, free = short("HalfCheetah-v5", 2, time_limit=5), short("HalfCheetah-v5", 2, time_limit=50)
    limited.reset()
    free.reset()
    *first, final = actions(free, 5)
    for action in first:
        limited.step(action)
        free.step(action)
    last, other = limited.step(final), free.step(final)
    assert last.truncated.all()
    assert not last.terminated.any()
    assert torch.equal(last.obs, other.obs)
    assert not torch.equal(limited.reset(last.truncated), last.obs)


def test_state_is_a_copy():
    env = short("Ant-v5", 2)
    env.reset()
    tensors, _ = env.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    play(env, actions(env, 3))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in tensors.items())


def test_inactive_envs_do_not_age():
    env = short("HalfCheetah-v5", 2, time_limit=3)
    env.reset()
    a, first = actions(env, 1)[0], torch.tensor([True, False])
    assert [env.step(a, first).truncated.tolist() for _ in range(3)][-1] == [True, False]
    env.reset(first)
    assert [env.step(a).truncated.tolist() for _ in range(3)][-1] == [True, True]


@pytest.mark.parametrize("ids", [[0, 2], np.array([0, 2]), torch.tensor([0, 2]), np.array([True, False, True])])
def test_ids_in_any_form(ids):
    env, masked = short("Hopper-v5", 3), short("Hopper-v5", 3)
    assert torch.equal(env.reset(ids), masked.reset(torch.tensor([True, False, True])))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda env: env.step(torch.zeros(3, 4)), r"expected actions of shape \(3, 3\), got \(3, 4\)"),
        (lambda env: env.step(torch.zeros(3)), r"expected actions of shape \(3, 3\), got \(3,\)"),
        (lambda env: env.reset(torch.tensor([True])), r"a mask of envs must have shape \(3,\), got \(1,\)"),
        (lambda env: env.reset([2, 1]), r"sorted, unique and in \[0, 3\), got \[2, 1\]"),
        (lambda env: env.reset([3]), r"sorted, unique and in \[0, 3\), got \[3\]"),
        (lambda env: env.reset(seed=[1, 2]), "expected 3 seeds, got 2"),
        (lambda env: env.load_state(*short("Hopper-v5", 2).state()), "expected 3 x Hopper-v5, found 2 x Hopper-v5"),
        (lambda env: env.load_state(*short("Swimmer-v5", 3).state()), "expected 3 x Hopper-v5, found 3 x Swimmer-v5"),
        (lambda env: env.load_state({}, env.state()[1]), "expected a tensor 'elapsed', found none"),
        (lambda env: env.load_state({"elapsed": torch.zeros(3)}, env.state()[1]), "'integration': .* found nothing"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(wrong, says):
    with pytest.raises(ValueError, match=says) as error:
        wrong(short("Hopper-v5", 3))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Ant-v5"])
@pytest.mark.parametrize("active", [None, [True, False, True]])
def test_a_simulation_that_breaks_down_is_named(name, active):
    """MuJoCo resets it to the model's defaults during an episode."""
    env = short(name, 3)
    action, mask = torch.zeros(3, len(env.action_low)), None if active is None else torch.tensor(active)
    assert env.step(action, mask).unstable is None
    for _ in range(2):  # the second time as the first
        env.physics.qvel[0, 0] = 1e12
        with pytest.warns(UserWarning, match="MuJoCo in env 0: .* The simulation is unstable"):
            step = env.step(action, mask)
        assert step.unstable is not None
        assert step.unstable.tolist() == [True, False, False]
        assert env.physics.time[0] < env.control_dt + 1e-9
        assert env.step(action, mask).unstable is None
