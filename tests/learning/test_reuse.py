"""Reuse of past rollouts: V-trace against a loop, the clip around the current policy, and the kept rollouts."""

import dataclasses

import pytest
import torch

from pgcontrol.learning.advantages import GAE, Trajectories
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.samples import Past
from pgcontrol.learning.sampling import Asynchronous
from pgcontrol.machine import trees
from pgcontrol.machine.compiler import Graph
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import make_policy
from pgcontrol.training.learner import Learner
from tests.learning.worlds import Clockwork, spec
from tests.training.test_train import SMALL

HEADS = sorted(catalog.heads())
ESTIMATOR = GAE(GAE.Options())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def collector(head: str = "gaussian", **world) -> Collector:
    env = Clockwork(4, **{"period": 5, "terminates": False} | world)
    return Collector(env, make_policy(spec(env, head), seed=0), 16, 0.9, True, rng())


def moved(c: Collector) -> None:
    """Another policy, other moments."""
    c.policy.theta += 0.02 * torch.randn(c.policy.theta.shape, generator=rng(1))
    c.policy.normaliser.update(torch.randn(50, 2, generator=rng(2)))


def test_v_trace_against_a_loop():
    T, N, lam = 12, 5, 0.8
    reward, value, after = torch.randn(3, T, N, generator=rng())
    over, terminated = torch.rand(2, T, N, generator=rng(1)) < 0.3
    drift = torch.rand(T, N, generator=rng(2)) * 2
    discount = 0.9 * (~(over & terminated)).float()
    seen = Trajectories(reward, value, after, discount, over & terminated, over & ~terminated)
    advantage, target = GAE(GAE.Options(gae_lambda=lam)).corrected(seen, drift)
    for i in range(N):
        for t in range(T):
            total, weight = 0.0, 1.0
            for u in range(t, T):
                weight *= min(1.0, float(drift[u, i])) if u > t else 1.0
                total += weight * float(reward[u, i] + discount[u, i] * after[u, i] - value[u, i])
                if over[u, i]:
                    break
                weight *= lam * 0.9
            assert float(advantage[t, i]) == pytest.approx(total, abs=1e-5)
            assert float(target[t, i]) == pytest.approx(
                float(value[t, i]) + min(1.0, float(drift[t, i])) * total, abs=1e-5
            )


@pytest.mark.parametrize("head", HEADS)
def test_what_is_kept_is_seen_as_of_today(head):
    c = collector(head)
    past, first, _ = Past(c.policy, ESTIMATOR, 2), *c.collect()
    past.add(first)
    moved(c)
    second, _ = c.collect()
    seen, rows = past.samples(second), first.bad.numel()
    assert seen is not None
    assert seen.drift is not None
    obs = c.policy.normaliser(first.raw_obs).flatten(0, 1)
    now = c.policy(obs, first.choice.flatten(0, 1))
    assert torch.allclose(seen.obs, obs, atol=1e-5)
    assert torch.allclose(seen.log_prob, now.log_prob, atol=1e-3)
    assert torch.allclose(seen.drift, (now.log_prob - first.log_prob.flatten()).exp(), rtol=1e-3)
    assert (seen.drift - 1).abs().max() > 1e-3
    # γ = 0.9: one step from a time limit the target is r + γV(final), its share of the drift; r in units of today
    t = 4  # the last of its episode
    after = c.policy.value(c.policy.normaliser(first.raw_next[t]))
    delta = first.reward[t] * first.reward_scale / second.reward_scale + 0.9 * after - seen.value.view(16, 4)[t]
    assert torch.allclose(seen.advantage.view(16, 4)[t], delta, atol=1e-4)
    assert first.reward_scale != second.reward_scale
    past.add(second)
    third, _ = c.collect()
    past.add(third)  # the first makes room
    kept = past.samples(third)
    assert kept is not None
    assert len(kept.obs) == 2 * rows
    order = kept.choice.view(16, 8, *c.policy.head.choice_spec.shape)
    assert torch.equal(order, torch.cat((second.choice, third.choice), 1))


def test_nothing_is_learned_from_a_masked_row():
    c = collector(bad_at=5)
    past = Past(c.policy, ESTIMATOR, 2)
    with pytest.warns(UserWarning, match="infinite or NaN"):
        rollout, _ = c.collect()
    past.add(rollout)
    seen = past.samples(rollout)
    assert seen is not None
    assert len(seen.obs) == rollout.bad.numel() - 1
    assert torch.equal(seen.choice, rollout.choice[~rollout.bad])


def test_choices_that_mean_something_else_since_are_dropped():
    """After the first fit, a token's codes are no longer bins."""
    c = collector("token")
    past, rollout, _ = Past(c.policy, ESTIMATOR, 2), *c.collect()
    past.add(rollout)
    head, features = c.policy.head, torch.no_grad()(lambda: c.policy.features(rollout.obs.flatten(0, 1)))
    head.adapt(rollout, features, 0.1, rng())  # too early: all stays
    assert past.samples(rollout) is not None
    head.adapt(rollout, features, 0.5, rng())
    assert past.samples(rollout) is None
    assert past.state() == {}


def rule(c: Collector, **options) -> ClippedSurrogate:
    return ClippedSurrogate(c.policy, ClippedSurrogate.Options(minibatch=16, epochs=2, **options), estimator=ESTIMATOR)


@pytest.mark.parametrize(("critic_reuse", "steps"), [(False, [4, 4, 4]), (True, [4, 8, 12])])
def test_the_critics_own_passes_can_use_the_older_rollouts_too(critic_reuse, steps):
    c = collector()
    one = rule(c, reuse=3, critic_epochs=1, critic_minibatch=16, value_coef=0.0, critic_reuse=critic_reuse)
    assert one.critic_fit is not None
    taken, before = [], 0
    for _ in range(3):
        rollout, _ = c.collect()
        one.update(rollout, rollout.estimate(ESTIMATOR), 0.0, rng())
        taken.append(int(one.critic_fit.adam.steps) - before)
        before = int(one.critic_fit.adam.steps)
    assert taken == steps
    of = one.options
    assert one.gradient_steps(of, 64) == 2 * 12 + steps[-1]  # of an update once all older rollouts are there


def test_the_first_update_is_the_same_and_the_next_has_more_to_learn_from():
    plain, reusing = collector(), collector()
    rows = []
    for c, one in ((plain, rule(plain)), (reusing, rule(reusing, reuse=3))):
        rows.append([])
        for _ in range(4):
            rollout, _ = c.collect()
            rows[-1].append(one.update(rollout, rollout.estimate(ESTIMATOR), 0.0, rng()))
            if len(rows[-1]) == 1:
                rows[-1].append(c.policy.theta.clone())
    (_, theta, *_), (_, same, *later) = rows
    assert torch.allclose(theta, same, atol=1e-6)
    # two passes in minibatches of 16, over 64, 128, 192 and 192 samples
    assert [row["train/n_updates"] for row in later] == [8 + 16, 24 + 24, 48 + 24]
    assert all(row["train/drift"] > 0 for row in later)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_clip_is_around_the_drift(sign):
    """The loss and its gradient against the paper's formula, on ratios within and beyond the clip."""
    c = collector()
    past, first, _ = Past(c.policy, ESTIMATOR, 1), *c.collect()
    past.add(first)
    moved(c)
    batch = past.samples(c.collect()[0])
    assert batch is not None
    assert batch.drift is not None
    batch = batch._replace(advantage=sign * torch.rand(64, generator=rng(3)))
    one = rule(c, normalise_advantage=False, clip=0.05)
    theta = (c.policy.theta + 0.01 * torch.randn(c.policy.theta.shape, generator=rng(4))).requires_grad_()
    new = c.policy.evaluate(theta, batch.obs, batch.choice)
    loss, measured = one.surrogate(new, batch, batch.advantage)
    ratio, now = (new.log_prob - first.log_prob.flatten()).exp(), (batch.log_prob - first.log_prob.flatten()).exp()
    low, high = now - 0.05, now + 0.05
    gain = torch.minimum(ratio * batch.advantage, torch.minimum(torch.maximum(ratio, low), high) * batch.advantage)
    assert torch.allclose(loss, -gain.mean(), atol=1e-6)
    assert 0.05 < float(measured["clip_fraction"]) < 0.95
    ours, theirs = (torch.autograd.grad(x, theta, retain_graph=True)[0] for x in (loss, -gain.mean()))
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert theirs.norm() > 1e-3
    given = theta.detach(), batch, one.entropy_coef
    traced = Graph(one.step.gradient).trace(*given)(*trees.leaves(given))
    assert all(
        torch.allclose(a, b, atol=1e-5) for a, b in zip(traced, trees.leaves(one.step.gradient(*given)), strict=True)
    )


def test_a_prior_holds_older_rollouts_too():
    c = collector()
    one, past = rule(c, reuse=2), Past(c.policy, ESTIMATOR, 1)
    made = [c.collect()[0] for _ in range(2)]
    first, second = (
        dataclasses.replace(r, prior=r.params + 0.1, prior_weight=w) for r, w in zip(made, (0.5, 0.25), strict=True)
    )
    past.add(first)
    kept = past.samples(second)
    assert kept is not None
    assert kept.prior is not None
    assert torch.equal(kept.prior, (first.params + 0.1).flatten(0, 1))
    assert kept.prior_weight is not None
    assert (kept.prior_weight == 0.25).all()  # what it costs now
    for rollout in (first, second):
        obs, choice = rollout.obs.flatten(0, 1), rollout.choice.flatten(0, 1)
        rollout.log_prob = c.policy.evaluate(c.policy.theta, obs, choice).log_prob.view_as(rollout.log_prob)
        row = one.update(rollout, rollout.estimate(ESTIMATOR), 0.0, rng())
        assert row["train/kl_prior"] > 0


def test_what_cannot_be_reused_is_one_line(monkeypatch):
    with pytest.raises(InputError, match=r"algorithm.reuse = 2: cannot be combined with recompute_advantage"):
        configure({"env": "Hopper-v5", "algorithm.reuse": 2, "algorithm.recompute_advantage": True})
    with pytest.raises(InputError, match=r"algorithm.reuse = 2: estimator GroupRelative cannot correct"):
        Learner(configure(SMALL | {"algorithm": "grpo", "algorithm.reuse": 2, "num_envs": 16}))
    row = dataclasses.replace(catalog.algorithms()["ppo"], sampling=Asynchronous)
    monkeypatch.setattr(catalog, "algorithms", lambda: {"ppo": row})
    with pytest.raises(InputError, match=r"algorithm 'ppo': its workers cannot share a memory"):
        Learner(configure(SMALL | {"algorithm.reuse": 2}))
