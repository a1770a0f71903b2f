"""The pathwise rule: targets against a loop, where gradients flow, the limit of the KL, and the multipliers."""

import pytest
import torch

from pgcontrol.learning.collector import Collector
from pgcontrol.learning.pathwise import ActionSamples, Pathwise
from pgcontrol.learning.rollout import Rollout
from pgcontrol.runs.load import make_policy
from tests.learning.worlds import Clockwork, spec


def played(terminates: bool = True, **options) -> tuple[Pathwise, Rollout]:
    """A rule with a Q-function that is not flat, and a rollout in which episodes end."""
    env = Clockwork(4, 5, terminates)
    policy = make_policy(spec(env, "gaussian", "none"), seed=0)
    rollout, _ = Collector(env, policy, 8, 0.9, False, torch.Generator().manual_seed(0)).collect()
    rule = Pathwise(policy, Pathwise.Options(minibatch=32, q_width=16, **options))
    rule.q.theta += 0.3 * torch.randn(rule.q.theta.shape, generator=torch.Generator().manual_seed(1))
    return rule, rollout


def samples(rule: Pathwise, rollout: Rollout, shift: float = 0.0) -> ActionSamples:
    """All samples of a rollout; `shift`: how far the old policy's means are from the current ones."""
    choice, params = rollout.choice.flatten(0, 1), rollout.params.flatten(0, 1).clone()
    params[:, 0] += shift
    noise = rule.policy.head.noise(len(choice), torch.Generator().manual_seed(2))
    return ActionSamples(
        rollout.obs.flatten(0, 1), rule.played(choice), torch.linspace(-2, 2, len(choice)), params, noise
    )


def gradients(rule: Pathwise, batch: ActionSamples, alpha: float, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The policy's part [P] and the Q-function's part [Q]."""
    theta = rule.both.theta.requires_grad_()
    loss, _ = rule.loss(theta, batch, torch.tensor([alpha, beta]))
    return rule.both.split(torch.autograd.grad(loss, theta)[0])


@pytest.mark.parametrize("terminates", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_targets_against_a_loop(lam, terminates):
    rule, rollout = played(terminates, q_lambda=lam)
    alpha, policy = 0.3, rule.policy
    made = rule.targets(rollout, alpha, torch.Generator().manual_seed(3))
    rng = torch.Generator().manual_seed(3)

    def soft_value(obs):
        params = policy.params(obs)
        choice = policy.head.sample(params, rng)
        q = rule.q.critic.value(rule.q(obs, rule.played(choice)))
        return q - alpha * policy.head.log_prob(params, choice)

    _, after = rollout.values(soft_value)
    T, N = rollout.reward.shape
    over = rollout.terminated | rollout.truncated
    assert over.any()
    for i in range(N):
        following = None  # soft return of the next action in the same episode
        for t in reversed(range(T)):
            cut = following is None or bool(over[t, i])
            ahead = after[t, i] if cut else (1 - lam) * after[t, i] + lam * following
            total = rollout.reward[t, i] + rollout.discount[t, i] * ahead
            assert float(made[t, i]) == pytest.approx(float(total), abs=1e-4)
            following = total - alpha * rollout.log_prob[t, i]


def test_the_policys_gradient_goes_through_the_action_and_q_learns_from_its_error_alone():
    rule, rollout = played()
    batch, policy = samples(rule, rollout), rule.policy
    own, q = gradients(rule, batch, 0.2, 1.0)
    theta = policy.theta.clone().requires_grad_()
    params = policy.distribution(theta, batch.obs)
    value = rule.q.critic.value(rule.q(batch.obs, rule.played(policy.head.draw(params, batch.noise))))
    (expected,) = torch.autograd.grad(-(value + 0.2 * policy.head.entropy(params)).mean(), theta)
    assert torch.allclose(own, expected, rtol=1e-4, atol=1e-7)
    weights = rule.q.theta.clone().requires_grad_()
    error = rule.q.critic.loss(rule.q.at(weights, batch.obs, batch.action), batch.target).mean()
    (expected,) = torch.autograd.grad(error, weights)
    assert torch.allclose(q, expected, rtol=1e-4, atol=1e-7)


def test_beyond_the_limit_only_the_kl_is_left():
    rule, rollout = played()
    batch, policy = samples(rule, rollout, shift=0.5), rule.policy
    theta = policy.theta.clone().requires_grad_()
    kl = policy.head.kl(batch.params, policy.distribution(theta, batch.obs))
    assert (kl > rule.options.target_kl).all()
    (expected,) = torch.autograd.grad(0.7 * kl.mean(), theta)
    own, _ = gradients(rule, batch, 0.2, 0.7)
    assert torch.allclose(own, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "grows"),
    [
        ({"entropy_target": 5.0, "target_kl": 1e-9}, (True, True)),
        ({"entropy_target": -5.0, "target_kl": 1e3}, (False, False)),
    ],
)
def test_multipliers_grow_while_their_constraint_is_broken(options, grows):
    rule, rollout = played(**options)
    before = rule.multipliers.clone()
    metrics = rule.step(rule.both.theta, rule.adam, torch.tensor(1e-3), samples(rule, rollout, 0.1), before.exp())[2]
    after = rule.adjusted(before, metrics)
    assert tuple((after > before).tolist()) == grows
    assert ((after - before).abs() <= rule.options.multiplier_rate * (1 + 1e-9)).all()
