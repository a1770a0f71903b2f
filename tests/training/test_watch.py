"""Health in training: what is logged and when, without an effect on the training."""

import copy

import pytest
import torch

from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner
from pgcontrol.training.watch import HealthWatch

SMALL = {
    "env": "Fork-v0",
    "num_envs": 8,
    "rollout_steps": 64,
    "total_steps": 8 * 64 * 6,
    "algorithm.epochs": 1,
    "eval_every": 0,
    "threads": 1,
}


def trained(updates=4, **settings):
    learner = Learner(configure(SMALL | settings))
    return learner, [learner.update() for _ in range(updates)]


@pytest.mark.parametrize("head", sorted(catalog.heads()))
def test_every_head_is_measured_on_the_same_scale(head):
    _, rows = trained(1, head=head)
    row = rows[0]
    named = {name.removeprefix("health/"): value for name, value in row.items() if name.startswith("health/")}
    assert {"spread", "spread_min", "spread_joint0", "visited_spread_min", "sensitivity", "modes"} <= set(named)
    assert 0.2 < named["spread"] < 1
    assert named["spread_min"] <= named["spread"]
    assert named["spread_min"] == pytest.approx(min(named["spread_joint0"], named["spread_joint1"]))
    assert 0.3 < named["action_entropy"] <= 1  # three bins: log 3 / log 21
    assert named["modes"] >= 1
    assert named["ratio_min"] <= 1 <= named["ratio_max"]
    assert named["gradient_noise"] > 0


def test_measurements_come_on_schedule_and_at_the_end():
    _, rows = trained(6)
    assert ["health/spread" in row for row in rows] == [True, False, False, True, False, True]
    assert all("health/route_entropy" in row for row in rows[2:])
    assert all(-1 <= row["health/pull"] <= 1 for row in rows)


def test_the_training_does_not_notice(monkeypatch):
    watched, _ = trained(2)
    monkeypatch.setattr(HealthWatch, "__call__", lambda *_: {})
    alone, _ = trained(2)
    assert torch.equal(watched.policy.theta, alone.policy.theta)
    assert torch.equal(watched.sampling.get_state(), alone.sampling.get_state())


@pytest.mark.parametrize("head", ["gaussian-tanh", "binned", "token-offset"])
def test_a_policy_is_widened_where_it_goes(head):
    """The first states of the training may lie where it no longer goes."""
    learner, _ = trained(2, head=head)
    probes, visited = learner.watch.probes, learner.watch.visited
    assert probes is not None
    assert visited is not None
    learner.watch.probes = probes + 5
    learner.widen(0.45)
    policy = learner.policy
    std = policy.head.describe(policy.params(policy.normaliser(visited)))["std"]
    assert float(std) == pytest.approx(0.45, rel=0.03)


def test_the_policies_of_workers_cannot_be_widened():
    settings = {name: value for name, value in SMALL.items() if not name.startswith("algorithm.")}
    learner = Learner(configure(settings | {"algorithm": "a3c"}))
    with pytest.raises(InputError, match="workers of 'a3c' cannot be widened"):
        learner.widen(0.4)


def test_what_cannot_be_widened_is_refused_before_the_training():
    with pytest.raises(InputError, match="on_collapse = 'widen': head 'utilities' cannot be widened; use warn or stop"):
        Learner(configure({"env": "Hopper-v5", "algorithm": "decqn", "on_collapse": "widen"}))


def test_older_checkpoints_are_widened_in_the_states_that_they_have():
    learner, _ = trained(2, head="binned")
    learner.watch.visited, learner.collector.obs = None, torch.zeros_like(learner.collector.obs)
    probes = learner.watch.probes
    assert probes is not None
    learner.widen(0.45)
    policy = learner.policy
    assert float(policy.head.width(policy.params(policy.normaliser(probes)))) == pytest.approx(0.45, rel=0.03)


def test_probe_states_stay_and_survive_a_checkpoint(tmp_path):
    learner, _ = trained(1)
    probes = learner.watch.probes
    assert probes is not None
    learner.update()
    learner.save(tmp_path / "step_1")
    again = Learner(configure(SMALL))
    again.load(tmp_path / "step_1")
    assert again.watch.probes is not None
    assert torch.equal(again.watch.probes, probes)
    assert learner.watch.visited is not None
    assert again.watch.visited is not None
    assert torch.equal(again.watch.visited, learner.watch.visited)
    assert not torch.equal(again.watch.visited, probes)


def test_the_logged_spread_is_that_of_the_codes_that_were_played():
    """The update in which a head learns its codes does not describe the old logits with the new codes."""
    learner = Learner(configure(SMALL | {"head": "token", "head.warmup": 0.3, "head.codes": 16}))
    theta = learner.policy.theta.clone()
    for _ in range(6):
        head = copy.deepcopy(learner.policy)
        row = learner.update()
        rollout = learner.rollout
        assert rollout is not None
        said = head.head.describe(rollout.subsample(rollout.params))["std"]
        assert row["train/std"] == pytest.approx(float(said), rel=1e-5)
    assert not torch.equal(theta, learner.policy.theta)


def test_states_that_wait_for_their_group_are_not_visited():
    settings = {name: value for name, value in SMALL.items() if not name.startswith("algorithm.")}
    settings |= {"algorithm": "grpo", "algorithm.group_size": 4, "env": "Hopper-v5", "rollout_steps": 128}
    learner = Learner(configure(settings))
    learner.update()
    rollout = learner.rollout
    assert rollout is not None
    assert rollout.idle.any()
    assert learner.watch.visited is not None
    waiting = rollout.raw_obs[rollout.idle]
    assert not any((waiting == obs).all(1).any() for obs in learner.watch.visited)
    assert float(learner.collector.reward_scale.count) == int((~rollout.idle).sum())
