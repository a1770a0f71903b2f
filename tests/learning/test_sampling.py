"""Sampling schemes: plans, and groups with members that differ only by their choices."""

import pytest
import torch
from pgcontrol_envs import make

from pgcontrol.learning.advantages import comparisons
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.sampling import Groups, Sampling
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import make_policy
from pgcontrol.training.learner import Learner
from tests.learning.worlds import Clockwork, spec


def flags(*over: int) -> torch.Tensor:
    return torch.tensor(over, dtype=torch.bool)


def test_independent_resets_what_is_over():
    plan = Sampling(Sampling.Options(), 4).plan(flags(0, 1, 0, 1), start=False)
    assert plan.reset.tolist() == [1, 3]
    assert len(plan.target) == 0


def test_groups_gather_at_the_start_and_when_all_are_over():
    groups = Groups(Groups.Options(group_size=3), 6)
    start = groups.plan(flags(0, 1, 0, 1, 0, 0), start=True)
    assert start.reset.tolist() == [3]  # a leader that has ended starts a new episode; the other continues
    assert start.source.tolist() == [0, 0, 3, 3]
    assert start.target.tolist() == [1, 2, 4, 5]
    later = groups.plan(flags(1, 1, 1, 1, 1, 0), start=False)
    assert later.reset.tolist() == [0]
    assert later.target.tolist() == [1, 2]
    assert groups.counted().tolist() == [True, False, False, True, False, False]


def test_groups_must_be_whole_and_the_env_must_copy():
    with pytest.raises(InputError, match=r"algorithm.group_size = 5: must divide num_envs = 16"):
        configure({"env": "Hopper-v5", "algorithm": "grpo", "num_envs": 16, "algorithm.group_size": 5})
    config = configure({"env": "gym:Pendulum-v1", "algorithm": "grpo"})
    with pytest.raises(
        InputError, match=r"algorithm 'grpo' copies states between environments; gym:Pendulum-v1 cannot"
    ):
        Learner(config)


class Recorder:
    """An env that keeps the physics state after every reset and copy."""

    def __init__(self, env):
        self.env, self.gathered = env, []

    def __getattr__(self, name):
        return getattr(self.env, name)

    def copy(self, source, target):
        self.env.copy(source, target)
        self.gathered.append((source.clone(), target.clone(), self.env.state()[0]))


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Ant-v5"])
def test_members_start_from_one_state_to_the_bit_and_diverge_by_their_choices(env_id):
    env = Recorder(make(env_id, 6, seed=0, threads=1))
    policy = make_policy(spec(env), seed=0)
    groups = Groups(Groups.Options(group_size=3), 6)
    collector = Collector(env, policy, 20, 0.99, True, torch.Generator().manual_seed(0), groups)  # pyright: ignore
    for _ in range(4):
        rollout, _ = collector.collect()
        first = rollout.raw_obs[0].view(2, 3, -1)
        assert torch.equal(first, first[:, :1].expand_as(first))
        assert not torch.equal(first[0], first[1])
        # one step later other choices have led elsewhere (unless that step ended a group, which then forms again)
        going = ~(rollout.terminated | rollout.truncated)[0].view(2, 3).any(1)
        after = rollout.raw_obs[1].view(2, 3, -1)[going]
        assert not (after[:, 1:] == after[:, :1]).all(-1).any()
    for source, target, state in env.gathered:
        for name in ("physics.integration", "elapsed"):  # qpos, qvel, warm start, time and all the rest
            assert torch.equal(state[name][source], state[name][target])
    # a later rollout continues at the leader's state: groups do not only start at the beginning of episodes
    assert env_id == "Hopper-v5" or env.gathered[-1][2]["elapsed"].min() > 0


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Ant-v5", "HalfCheetah-v5"])
def test_equal_choices_from_a_copied_state_give_equal_futures(env_id):
    env = make(env_id, 4, seed=3, threads=2)
    env.reset()
    g = torch.Generator().manual_seed(0)
    span = env.action_high - env.action_low
    for _ in range(5):
        env.step(env.action_low + span * torch.rand(4, len(span), generator=g))
    env.copy([0, 2], [1, 3])
    for _ in range(8):
        action = env.action_low + span * torch.rand(2, len(span), generator=g)
        step = env.step(action.repeat_interleave(2, 0))
        for x in (step.obs, step.reward, step.terminated):
            assert torch.equal(x[0::2], x[1::2])
    step = env.step(env.action_low + span * torch.rand(4, len(span), generator=g))
    assert not torch.equal(step.obs[0], step.obs[1])


def test_a_member_that_ends_stands_still_until_its_group_is_over():
    """Period 3, rollouts of 5: both members end and start again together; the estimator counts the same rows."""
    env = Clockwork(2, period=3, terminates=True)
    groups = Groups(Groups.Options(group_size=2), 2)
    collector = Collector(env, make_policy(spec(env), seed=0), 5, 0.5, False, torch.Generator(), groups)
    env.clock[1] = 2  # the start gathers them nevertheless
    rollout, episodes = collector.collect()
    assert rollout.raw_obs[:, :, 1].tolist() == [[0, 0], [1, 1], [2, 2], [0, 0], [1, 1]]
    assert not rollout.idle.any()
    assert [(e.total, e.length) for e in episodes] == [(3.0, 3)]  # the leader's alone


def test_idle_rows_are_those_the_estimator_leaves_out_and_count_no_steps():
    env = make("Hopper-v5", 8, seed=0, threads=1)
    groups = Groups(Groups.Options(group_size=4), 8)
    policy = make_policy(spec(env, initial_std=1.0), seed=0)
    collector = Collector(env, policy, 100, 0.99, True, torch.Generator().manual_seed(0), groups)
    for _ in range(2):
        rollout, _ = collector.collect()
        over = rollout.terminated | rollout.truncated
        assert rollout.idle.any()
        assert torch.equal(~rollout.idle, comparisons(over, 4)[1])
        assert rollout.steps == int((~rollout.idle).sum())
        assert not rollout.reward[rollout.idle].any()
        assert not over[rollout.idle].any()


def test_a_broken_copy_is_refused():
    env = make("Hopper-v5", 4, threads=1)
    with pytest.raises(ValueError, match="as many sources as targets"):
        env.copy([0], [1, 2])
    with pytest.raises(ValueError, match="cannot be copied"):
        make("gym:Pendulum-v1", 2).copy([0], [1])
