"""Update rules: Adam against torch's, the clipped surrogate against the score gradient, the ratio before a step."""

import pytest
import torch

from pgcontrol import catalog
from pgcontrol.learning.advantages import GAE
from pgcontrol.learning.rollout import Collector
from pgcontrol.learning.updates import Adam, Clip, Diverged, Minibatch, adam_step, explained_variance
from pgcontrol.options import InputError
from pgcontrol.runs.load import make_policy
from tests.learning.worlds import Clockwork, spec

HEADS = sorted(catalog.heads())


def rollout_of(head: str, length: int = 16):
    env = Clockwork(4, period=5, terminates=True)
    policy = make_policy(spec(env, head), seed=0)
    collector = Collector(env, policy, length, 0.9, True, torch.Generator().manual_seed(0))
    rollout, _ = collector.collect()
    advantage, target = GAE(GAE.Options())(rollout.trajectories())
    advantage = torch.randn(advantage.shape, generator=torch.Generator().manual_seed(1))  # Clockwork's hardly vary
    return policy, rollout, advantage, target


def batch_of(rollout, advantage, target) -> Minibatch:
    columns = (rollout.obs, rollout.choice, rollout.log_prob, advantage, target)
    return Minibatch(*(x.flatten(0, 1) for x in columns))


def test_adam_is_torchs():
    g = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(20, generator=g))
    optimiser = torch.optim.Adam([weight], lr=0.01, eps=1e-5)
    ours, rate = weight.detach().clone(), torch.tensor(0.01, dtype=torch.float64)
    adam = Adam(torch.zeros(20), torch.zeros(20), torch.zeros((), dtype=torch.float64))
    for _ in range(30):
        weight.grad = torch.randn(20, generator=g)
        step, adam = adam_step(weight.grad, adam, rate)
        ours = ours - step
        optimiser.step()
    assert ours.dtype == torch.float32
    assert torch.allclose(ours, weight.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_ratio_is_one_before_the_first_step(head):
    policy, rollout, advantage, target = rollout_of(head)
    rule = Clip(policy, Clip.Options(minibatch=64))
    _, metrics = rule.loss(policy.theta, batch_of(rollout, advantage, target))
    assert float(metrics["ratio_error"]) < 1e-6
    assert float(metrics["approx_kl"]) < 1e-6
    assert float(metrics["clip_fraction"]) == 0


@pytest.mark.parametrize("head", HEADS)
def test_at_ratio_one_the_clip_gradient_is_the_score_gradient(head):
    policy, rollout, advantage, target = rollout_of(head)
    options = Clip.Options(minibatch=64, normalise_advantage=False, value_coef=0.0)
    batch = batch_of(rollout, advantage, target)
    theta = policy.theta.clone().requires_grad_()
    (clip,) = torch.autograd.grad(Clip(policy, options).loss(theta, batch)[0], theta)
    new = policy.evaluate(theta, batch.obs, batch.choice)
    (score,) = torch.autograd.grad(-(batch.advantage * new.log_prob).mean(), theta)
    assert torch.allclose(clip, score, atol=1e-6)
    assert score.abs().max() > 1e-3


@pytest.mark.parametrize("head", HEADS)
def test_an_update_raises_the_surrogate(head):
    policy, rollout, advantage, target = rollout_of(head, length=64)
    rule = Clip(policy, Clip.Options(minibatch=64, epochs=5, learning_rate=1e-3))
    batch, before = batch_of(rollout, advantage, target), policy.theta.clone()
    metrics = rule.update(rollout, advantage, target, 0.0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        gains = [
            ((policy.evaluate(t, batch.obs, batch.choice).log_prob - batch.log_prob).exp() * batch.advantage).mean()
            for t in (before, policy.theta)
        ]
    assert gains[1] > gains[0] + 1e-3
    assert metrics["train/n_updates"] == 5 * 4
    # the modules see the new weights: theta and they share memory
    assert torch.equal(torch.cat([p.reshape(-1) for p in policy.parameters()]), policy.theta)


@pytest.mark.parametrize(
    ("decay", "progress", "expected"), [("linear", 0, 1e-3), ("linear", 0.75, 2.5e-4), ("none", 0.75, 1e-3)]
)
def test_decay(decay, progress, expected):
    policy, rollout, advantage, target = rollout_of("gaussian")
    rule = Clip(policy, Clip.Options(minibatch=64, learning_rate=1e-3, decay=decay))
    metrics = rule.update(rollout, advantage, target, progress, torch.Generator())
    assert metrics["train/learning_rate"] == pytest.approx(expected)


def test_a_rollout_of_another_policy_is_refused():
    """log_prob and sample that disagree show as a first ratio that is not 1."""
    policy, rollout, advantage, target = rollout_of("gaussian")
    rollout.log_prob += 0.01
    with pytest.raises(AssertionError, match=r"ratio off by 0\.00995"):
        Clip(policy, Clip.Options(minibatch=64)).update(rollout, advantage, target, 0.0, torch.Generator())


def test_divergence_names_the_metric_and_leaves_the_policy_alone():
    policy, rollout, advantage, target = rollout_of("gaussian")
    target[3, 1] = float("nan")
    before = policy.theta.clone()
    with pytest.raises(Diverged, match=r"train/loss became nan in gradient step 0"):
        Clip(policy, Clip.Options(minibatch=64)).update(rollout, advantage, target, 0.0, torch.Generator())
    assert torch.equal(policy.theta, before)


def test_minibatch_larger_than_the_rollout_is_refused():
    with pytest.raises(InputError, match=r"algorithm.minibatch = 4096: must be at most .* = 2048 samples"):
        Clip.check(Clip.Options(minibatch=4096), 2048)


def test_explained_variance():
    target = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(torch.zeros(3), target) == 0.0
    assert explained_variance(-target, target) == pytest.approx(-3.0)


@pytest.mark.parametrize("head", HEADS)
def test_compiled_and_eager_agree(head):
    """50 gradient steps, the last minibatch of an epoch a smaller one; the same losses and weights but for rounding."""
    torch.compiler.reset()  # one function compiled anew for every head would hit the compiler's limit of 8
    results = []
    for compiled in (False, True):
        policy, rollout, advantage, target = rollout_of(head, length=16)
        rule = Clip(policy, Clip.Options(minibatch=30, epochs=17, learning_rate=1e-3), compiled)
        metrics = rule.update(rollout, advantage, target, 0.0, torch.Generator().manual_seed(0))
        results.append((policy.theta.clone(), metrics))
    (eager, eager_metrics), (compiled_, compiled_metrics) = results
    assert eager_metrics["train/n_updates"] == 51
    assert torch.allclose(eager, compiled_, rtol=1e-3, atol=2e-5)
    assert compiled_metrics == pytest.approx(eager_metrics, rel=1e-3, abs=1e-5)
