"""Laws of VecEnv: explicit reset, random streams, threads, exact continuation."""

import json

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.vector import TaskVecEnv, VecEnv
from safetensors.torch import load, save
from torch import Tensor


def actions(env: VecEnv, steps: int, seed: int = 0) -> Tensor:
    """Random actions within the bounds, [steps, N, A]."""
    uniform = torch.rand(steps, env.num_envs, len(env.action_low), generator=torch.Generator().manual_seed(seed))
    return env.action_low + (env.action_high - env.action_low) * uniform


def play(env: VecEnv, actions: Tensor) -> Tensor:
    """Step through actions, resetting what ends; return all that was seen, [steps, N, O + 3 + number of terms]."""
    seen = []
    for action in actions:
        step = env.step(action)
        rest = step.reward, step.terminated, step.truncated, *step.terms.values()
        seen.append(torch.cat((step.obs, torch.stack([x.double() for x in rest], -1)), -1))
        over = step.terminated | step.truncated
        if over.any():
            env.reset(over)
    return torch.stack(seen)


def short(task: str, num_envs: int, seed: int = 0, threads: int = 1, time_limit: int = 40) -> TaskVecEnv:
    return TaskVecEnv(pgcontrol_envs.catalog()[task], num_envs, seed, threads, time_limit)


def test_shapes_and_types(task):
    env = pgcontrol_envs.make(task, 3, seed=1)
    obs = env.reset()
    assert obs.shape == (3, env.obs_size)
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


def test_terms_add_up_to_the_reward(task):
    env = pgcontrol_envs.make(task, 4)
    env.reset()
    constant = 1.0 if task == "HumanoidStandup-v5" else 0.0  # which Gymnasium adds without a name
    for action in actions(env, 20):
        step = env.step(action)
        total = torch.stack([term.double() for term in step.terms.values()]).sum(0) + constant
        torch.testing.assert_close(total, step.reward, rtol=0, atol=1e-9)


def test_what_a_step_returned_stays_as_it_was(task):
    env = short(task, 3)
    env.reset()
    kept = [env.step(action) for action in actions(env, 10)]
    again = short(task, 3)
    again.reset()
    for step, action in zip(kept, actions(env, 10), strict=True):
        for mine, other in zip(step[:4], again.step(action)[:4], strict=True):
            assert torch.equal(mine, other)


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


def test_resets_differ_between_envs_and_episodes(task):
    env = pgcontrol_envs.make(task, 4)
    starts = torch.cat([env.reset() for _ in range(3)])
    assert len(starts.unique(dim=0)) == len(starts)


def test_same_seed_same_trajectory_other_seed_another(task):
    one, same, other = (short(task, 3, seed) for seed in (5, 5, 6))
    a = actions(one, 60)
    for env in (one, same, other):
        env.reset()
    walked = play(one, a)
    assert torch.equal(walked, play(same, a))
    assert not torch.equal(walked, play(other, a))
    one.reset(seed=9)
    same.reset(seed=9)
    assert torch.equal(play(one, a), play(same, a))


def test_an_env_does_not_depend_on_its_neighbours(task):
    many, lone = short(task, 3, seed=5), short(task, 1, seed=6)
    a = actions(many, 60)
    many.reset()
    lone.reset()
    assert torch.equal(play(many, a)[:, 1:2], play(lone, a[:, 1:2]))


def test_threads_change_nothing(task):
    walks = []
    for threads in (1, 2):
        env = short(task, 5, threads=threads)
        env.reset()
        walks.append(play(env, actions(env, 100)))
    assert torch.equal(*walks)


def test_continues_to_the_bit_through_files(task):
    env = short(task, 3, threads=2)
    env.reset()
    before, after = actions(env, 400).split([70, 330])
    play(env, before)
    tensors, extra = env.state()
    tensors, extra = load(save(tensors)), json.loads(json.dumps(extra))
    expected = play(env, after)
    fresh = short(task, 3, seed=99)
    fresh.reset()
    play(fresh, before[:9])
    for resumed in (fresh, env):  # env itself goes back in time
        resumed.load_state(tensors, extra)
        assert torch.equal(play(resumed, after), expected)


def test_state_is_a_copy():
    env = short("Ant-v5", 2)
    env.reset()
    tensors, _ = env.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    play(env, actions(env, 3))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in tensors.items())


def test_inactive_envs_stand_still(task):
    env, alone = short(task, 3), short(task, 3)
    env.reset()
    alone.reset()
    active = torch.tensor([True, False, True])
    a = actions(env, 1)[0]
    step, full = env.step(a, active), alone.step(a)
    assert torch.equal(step.obs[active], full.obs[active])
    assert torch.equal(step.reward[active], full.reward[active])
    still = env.step(a, torch.zeros(3, dtype=torch.bool))
    assert torch.equal(still.obs, step.obs)
    for tensor in (still.reward, still.terminated, still.truncated, *still.terms.values()):
        assert not tensor.any()
    assert step.reward[1] == 0
    assert torch.equal(env.step(a, ~active).obs[1], full.obs[1])


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
        (lambda env: env.reset(torch.tensor([True])), r"a mask of envs has shape \(3,\), got \(1,\)"),
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
