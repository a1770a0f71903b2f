"""The score rule: reward-weighted likelihood, the optimisers' steps, and agreement with clip at ratio 1."""

import pytest
import torch

from pgcontrol.learning.advantages import Estimate, ReturnToGo
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.optimiser import Adam, rmsprop_step, sgd_step
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.rule import Diverged
from pgcontrol.learning.samples import samples_of
from pgcontrol.learning.score import Score, ScoreAndCritic
from pgcontrol.runs import catalog
from pgcontrol.runs.load import make_policy
from pgcontrol.theory.worlds import OneStep
from tests.learning.worlds import spec

HEADS = sorted(catalog.heads())


def one_step(head: str = "gaussian", critic: str = "none"):
    env = OneStep(64)
    policy = make_policy(spec(env, head, critic), seed=0)
    rollout, _ = Collector(env, policy, 1, 0.9, False, torch.Generator().manual_seed(0)).collect()
    advantage, target = ReturnToGo(None)(rollout.trajectories())
    return policy, rollout, advantage, target


@pytest.mark.parametrize("head", HEADS)
def test_on_one_step_tasks_it_is_reward_weighted_maximum_likelihood(head):
    """∇ Σ_i r_i log π(choice_i | obs_i) / B, written without rollout, estimator or rule."""
    policy, rollout, advantage, _ = one_step(head)
    theta = policy.theta.clone().requires_grad_()
    likelihood = policy.evaluate(theta, rollout.obs[0], rollout.choice[0]).log_prob
    (expected,) = torch.autograd.grad(-(rollout.reward[0] * likelihood).mean(), theta)
    loss, _ = Score(policy, Score.Options()).loss(theta, rollout, advantage)
    (gradient,) = torch.autograd.grad(loss, theta)
    assert torch.allclose(gradient, expected, rtol=1e-5, atol=1e-7)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("head", HEADS)
def test_the_clip_gradient_at_ratio_one_is_this_one(head):
    policy, rollout, advantage, target = one_step(head)
    theta = policy.theta.clone().requires_grad_()
    clip = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, normalise_advantage=False, value_coef=0.0))
    batch = samples_of(rollout, Estimate(advantage, target))
    (clipped,) = torch.autograd.grad(clip.loss(theta, batch, clip.entropy_coef)[0], theta)
    (plain,) = torch.autograd.grad(Score(policy, Score.Options()).loss(theta, rollout, advantage)[0], theta)
    assert torch.allclose(clipped, plain, rtol=1e-4, atol=1e-6)


def test_rmsprop_is_torchs():
    g = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(20, generator=g))
    # torch adds ε outside the root: compared with none
    optimiser = torch.optim.RMSprop([weight], lr=0.01, alpha=0.99, eps=0.0)
    ours, rate = weight.detach().clone(), torch.tensor(0.01, dtype=torch.float64)
    state = Adam(torch.zeros(20), torch.zeros(20), torch.zeros((), dtype=torch.float64))
    for _ in range(20):
        weight.grad = 10 * torch.randn(20, generator=g)
        step, state = rmsprop_step(weight.grad, state, rate)
        ours = ours - step
        optimiser.step()
    assert torch.allclose(ours, weight.detach(), rtol=1e-3, atol=1e-4)
    assert int(state.steps) == 20
    gradient = torch.ones(3)
    assert torch.equal(sgd_step(gradient, state, torch.tensor(0.5))[0], 0.5 * gradient)


def test_the_step_is_along_the_gradient_and_has_the_stated_length():
    policy, rollout, advantage, target = one_step()
    before = policy.theta.clone()
    options = Score.Options(optimiser="sgd", learning_rate=0.1, max_grad_norm=1e-3)
    rule = Score(policy, options)
    loss, _ = rule.loss(leaf := before.clone().requires_grad_(), rollout, advantage)
    (gradient,) = torch.autograd.grad(loss, leaf)
    metrics = rule.update(rollout, Estimate(advantage, target), 0.5, torch.Generator())
    step = before - policy.theta
    assert metrics["train/learning_rate"] == pytest.approx(0.05)
    assert float(step.norm()) == pytest.approx(0.05 * 1e-3, rel=1e-2)
    assert float(torch.cosine_similarity(step, gradient, 0)) > 0.999


def test_masked_rows_change_nothing():
    policy, rollout, advantage, _ = one_step()
    rule = Score(policy, Score.Options(normalise_advantage=True, entropy_coef=0.1))
    rollout.idle[0, ::2] = True
    loss, _ = rule.loss(policy.theta, rollout, advantage)
    rollout.choice[0, ::2] += 0.0
    advantage[0, ::2] = 1e6
    assert torch.equal(loss, rule.loss(policy.theta, rollout, advantage)[0])


def test_actor_and_critic_move_on_their_own():
    policy, rollout, advantage, target = one_step(critic="mse")
    actor = torch.cat([torch.full((p.numel(),), "critic" not in n) for n, p in policy.named_parameters()])
    before = policy.theta.clone()
    off = float(((policy.value(rollout.obs[0]) - target[0]) ** 2).mean())
    rule = ScoreAndCritic(policy, ScoreAndCritic.Options(critic_epochs=50, critic_learning_rate=1e-2))
    metrics = rule.update(rollout, Estimate(torch.zeros_like(advantage), target), 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(policy.theta[actor], before[actor])  # no advantage, no step
    assert (policy.theta[~actor] != before[~actor]).any()
    assert float(((policy.value(rollout.obs[0]) - target[0]) ** 2).mean()) < 0.7 * off  # the noise of the choices stays
    assert metrics["train/value_loss"] > 0


def test_divergence_does_not_change_the_policy():
    policy, rollout, advantage, target = one_step()
    before = policy.theta.clone()
    advantage[0, 3] = float("nan")
    with pytest.raises(Diverged, match="train/loss became nan"):
        Score(policy, Score.Options()).update(rollout, Estimate(advantage, target), 0.0, torch.Generator())
    assert torch.equal(policy.theta, before)


def test_a_rollout_of_another_policy_is_refused():
    policy, rollout, advantage, target = one_step()
    rollout.log_prob += 0.01
    with pytest.raises(AssertionError, match="ratio off by"):
        Score(policy, Score.Options()).update(rollout, Estimate(advantage, target), 0.0, torch.Generator())
