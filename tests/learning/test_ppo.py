"""Update rules: Adam against torch's, the clipped surrogate against the score gradient, the ratio before a step."""

import contextlib

import pytest
import torch

from pgcontrol.learning.advantages import GAE, Estimate
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.optimiser import Adam, adam_step
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.rule import Diverged, explained_variance, require_ratio_one
from pgcontrol.learning.samples import likelihood_ratio, samples_of
from pgcontrol.machine import trees
from pgcontrol.machine.compiler import Compilation
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.load import make_policy
from tests.learning.worlds import Clockwork, spec

HEADS = sorted(catalog.heads())


def rollout_of(head: str, length: int = 16, **options):
    env = Clockwork(4, period=5, terminates=True)
    policy = make_policy(spec(env, head, **options), seed=0)
    collector = Collector(env, policy, length, 0.9, True, torch.Generator().manual_seed(0))
    rollout, _ = collector.collect()
    advantage, target = GAE(GAE.Options())(rollout.trajectories())
    advantage = torch.randn(advantage.shape, generator=torch.Generator().manual_seed(1))  # Clockwork's hardly vary
    return policy, rollout, advantage, target


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
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64))
    _, metrics = rule.loss(policy.theta, samples_of(rollout, Estimate(advantage, target)), rule.entropy_coef)
    assert float(metrics["ratio_error"]) < 1e-6
    assert float(metrics["approx_kl"]) < 1e-6
    assert float(metrics["clip_fraction"]) == 0


@pytest.mark.parametrize("head", HEADS)
def test_at_ratio_one_the_clip_gradient_is_the_score_gradient(head):
    policy, rollout, advantage, target = rollout_of(head)
    options = ClippedSurrogate.Options(minibatch=64, normalise_advantage=False, value_coef=0.0)
    batch = samples_of(rollout, Estimate(advantage, target))
    theta = policy.theta.clone().requires_grad_()
    rule = ClippedSurrogate(policy, options)
    (clip,) = torch.autograd.grad(rule.loss(theta, batch, rule.entropy_coef)[0], theta)
    new = policy.evaluate(theta, batch.obs, batch.choice)
    (score,) = torch.autograd.grad(-(batch.advantage * new.log_prob).mean(), theta)
    assert torch.allclose(clip, score, atol=1e-6)
    assert score.abs().max() > 1e-3


@pytest.mark.parametrize("drift", [None, 0.5, torch.inf], ids=["new", "older", "much older"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_ratio_that_overflows_leaves_a_finite_gradient(drift, sign):
    """Where the clip applies the gradient is exactly 0, not 0 times infinity."""
    policy, rollout, _, target = rollout_of("gaussian")
    batch = samples_of(rollout, Estimate(torch.full_like(target, float(sign)), target))
    batch = batch._replace(log_prob=batch.log_prob - 200)
    if drift is not None:
        batch = batch._replace(drift=likelihood_ratio(torch.full_like(batch.log_prob, drift).log()))
    options = ClippedSurrogate.Options(minibatch=64, normalise_advantage=False, value_coef=0.0)
    rule, theta = ClippedSurrogate(policy, options), policy.theta.clone().requires_grad_()
    loss, metrics = rule.loss(theta, batch, rule.entropy_coef)
    (gradient,) = torch.autograd.grad(loss, theta)
    assert gradient.square().sum().isfinite()
    assert sign < 0 or not gradient.any()
    assert all(value.isfinite() for value in metrics.values())
    assert float(metrics["approx_kl"]) > 100  # so that `adaptive_kl` and `target_kl` act


@pytest.mark.parametrize("head", HEADS)
def test_an_update_raises_the_surrogate(head):
    policy, rollout, advantage, target = rollout_of(head, length=64)
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, epochs=5, learning_rate=1e-3))
    batch, before = samples_of(rollout, Estimate(advantage, target)), policy.theta.clone()
    metrics = rule.update(rollout, Estimate(advantage, target), 0.0, torch.Generator().manual_seed(0))
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
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, learning_rate=1e-3, decay=decay))
    metrics = rule.update(rollout, Estimate(advantage, target), progress, torch.Generator())
    assert metrics["train/learning_rate"] == pytest.approx(expected)


def test_a_rollout_of_another_policy_is_refused():
    """log_prob and sample that disagree show as a first ratio that is not 1."""
    policy, rollout, advantage, target = rollout_of("gaussian")
    rollout.log_prob += 0.01
    with pytest.raises(AssertionError, match=r"ratio off by 0\.00995"):
        ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64)).update(
            rollout, Estimate(advantage, target), 0.0, torch.Generator()
        )


@pytest.mark.parametrize(
    ("error", "compiled", "refused"), [(0.002, False, True), (0.002, True, False), (0.2, True, True)]
)
def test_compiled_code_may_round_differently(error, compiled, refused):
    """With μ = 12 and σ = 0.02, ratios are up to 0.002 off, because only the gradient step is compiled."""
    with pytest.raises(AssertionError) if refused else contextlib.nullcontext():
        require_ratio_one(error, Compilation(compiled))


def test_divergence_names_the_metric_and_does_not_change_the_policy():
    policy, rollout, advantage, target = rollout_of("gaussian")
    target[3, 1] = float("nan")
    before = policy.theta.clone()
    with pytest.raises(Diverged, match=r"train/loss became nan in gradient step 0"):
        ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64)).update(
            rollout, Estimate(advantage, target), 0.0, torch.Generator()
        )
    assert torch.equal(policy.theta, before)


def test_minibatch_larger_than_the_rollout_is_refused():
    with pytest.raises(InputError, match=r"algorithm.minibatch = 4096: must be at most .* = 2048 samples"):
        ClippedSurrogate.check(ClippedSurrogate.Options(minibatch=4096), 2048)


def test_explained_variance():
    target = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(torch.zeros(3), target) == 0.0
    assert explained_variance(-target, target) == pytest.approx(-3.0)


@pytest.mark.parametrize("head", [pytest.param(h, marks=[pytest.mark.slow] * (h != "gaussian")) for h in HEADS])
def test_compiled_and_eager_agree(head):
    """50 gradient steps, the last minibatch of an epoch a smaller one; the same losses and weights but for rounding.

    A compiled step takes ten seconds, so not of every variant: `test_prior.py` traces those.
    """
    results = []
    for compiled in (False, True):
        policy, rollout, advantage, target = rollout_of(head, length=16)
        options = ClippedSurrogate.Options(minibatch=30, epochs=17, entropy_coef=0.01, learning_rate=1e-3)
        rule = ClippedSurrogate(policy, options, Compilation(compiled))
        metrics = rule.update(rollout, Estimate(advantage, target), 0.0, torch.Generator().manual_seed(0))
        results.append((policy.theta.clone(), metrics))
    (eager, eager_metrics), (compiled_, compiled_metrics) = results
    assert eager_metrics["train/n_updates"] == 51
    assert torch.allclose(eager, compiled_, rtol=1e-3, atol=2e-5)
    assert compiled_metrics == pytest.approx(eager_metrics, rel=1e-3, abs=1e-5)


def test_value_clip_has_the_gradient_of_the_clipped_maximum():
    """max((V − R)², (V_old + clip(V − V_old, ±ε) − R)²), differentiated, on values that have moved."""
    policy, rollout, advantage, target = rollout_of("gaussian")
    target = 2 * torch.randn(target.shape, generator=torch.Generator().manual_seed(5))
    rollout.value = rollout.value + 0.3 * torch.randn(target.shape, generator=torch.Generator().manual_seed(6))
    batch = samples_of(rollout, Estimate(advantage, target))
    theta = policy.theta.clone().requires_grad_()
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, value_clip=0.2))
    (ours,) = torch.autograd.grad(rule.value_loss(policy.evaluate(theta, batch.obs, batch.choice), batch).mean(), theta)
    value = policy.evaluate(theta, batch.obs, batch.choice).critic
    held = batch.value + (value - batch.value).clamp(-0.2, 0.2)
    worse = torch.maximum((value - batch.target) ** 2, (held - batch.target) ** 2).mean()
    (expected,) = torch.autograd.grad(worse, theta)
    assert torch.allclose(ours, expected, atol=1e-6)
    (unclipped,) = torch.autograd.grad(((policy.criticise(theta, batch.obs) - batch.target) ** 2).mean(), theta)
    assert not torch.allclose(ours, unclipped, atol=1e-4)


def test_within_the_value_clip_every_sample_counts():
    """V_old + (V − V_old) differs from V by rounding, which once took the gradient from samples."""
    policy, rollout, advantage, _ = rollout_of("gaussian")
    target = rollout.value + 0.01 * torch.randn(advantage.shape, generator=torch.Generator().manual_seed(5))
    moved = 18 * torch.rand(advantage.shape, generator=torch.Generator().manual_seed(6)) - 9
    rollout.value = rollout.value + moved
    batch = samples_of(rollout, Estimate(advantage, target))
    gradients = []
    for clip in (10.0, None):
        rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, value_clip=clip))
        theta = policy.theta.clone().requires_grad_()
        loss = rule.value_loss(policy.evaluate(theta, batch.obs, batch.choice), batch).mean()
        gradients += torch.autograd.grad(loss, theta)
    assert torch.equal(*gradients)


def test_an_update_ends_once_the_kl_is_past_the_target():
    kl = {}
    for target_kl in (None, 0.003):
        policy, rollout, advantage, target = rollout_of("gaussian", length=64)
        rule = ClippedSurrogate(
            policy, ClippedSurrogate.Options(minibatch=64, epochs=40, learning_rate=1e-3, target_kl=target_kl)
        )
        metrics = rule.update(rollout, Estimate(advantage, target), 0.0, torch.Generator().manual_seed(0))
        after = policy.params(rollout.obs.flatten(0, 1))
        kl[target_kl] = float(policy.head.kl(rollout.params.flatten(0, 1), after).mean())
        assert (metrics["train/n_updates"] < 160) == (target_kl is not None)
    assert kl[0.003] < 0.5 * kl[None]


class Asked(GAE):
    """GAE that records its inputs."""

    def __init__(self):
        super().__init__(GAE.Options())
        self.asked = []

    def __call__(self, trajectories):
        self.asked.append(trajectories)
        return super().__call__(trajectories)


def test_advantages_are_recomputed_by_the_critic_so_far():
    policy, rollout, advantage, target = rollout_of("gaussian", length=64)
    options, estimator = ClippedSurrogate.Options, Asked()
    chosen = options(minibatch=64, epochs=3, learning_rate=1e-2, recompute_advantage=True)
    rule = ClippedSurrogate(policy, chosen, estimator=estimator)
    rule.update(rollout, Estimate(advantage, target), 0.0, torch.Generator().manual_seed(0))
    assert len(estimator.asked) == 2  # before the second and third epoch
    assert not torch.allclose(estimator.asked[0].value, rollout.value)
    # with the policy's own values, values() gives back what the rollout holds, final states included
    policy2, rollout2, *_ = rollout_of("gaussian", length=64)
    again = rollout2.values(policy2.value)
    assert torch.equal(again[0], rollout2.value)
    assert torch.equal(again[1], rollout2.next_value)


def after_updates(head: str, count: int, **options):
    """The policy, its rule and the last metrics, after a number of updates on one rollout; the first ratio is 1."""
    policy, rollout, advantage, target = rollout_of(head, length=64)
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, epochs=2, **options))
    rng, row = torch.Generator().manual_seed(0), {}
    for _ in range(count):
        obs, choice = rollout.obs.flatten(0, 1), rollout.choice.flatten(0, 1)
        rollout.log_prob = policy.evaluate(policy.theta, obs, choice).log_prob.view_as(rollout.log_prob)
        row = rule.update(rollout, Estimate(advantage, target), 0.0, rng)
    return policy, rule, row


def test_further_passes_move_the_critic_alone():
    policy, rule, _ = after_updates("gaussian", 1)
    further, _, row = after_updates("gaussian", 1, critic_epochs=10, critic_minibatch=32)
    assert not [name for name in rule.state() if name.startswith("critic_")]
    target = rollout_of("gaussian", length=64)[3].flatten()
    obs = rollout_of("gaussian", length=64)[1].obs.flatten(0, 1)
    for name, weight in policy.unflatten(policy.theta).items():
        assert torch.equal(weight, further.unflatten(further.theta)[name]) == (not name.startswith("critic")), name
    off, less = (((one.value(obs) - target) ** 2).mean() for one in (policy, further))
    assert less < off
    assert row["train/value_loss"] >= 0


def test_a_critic_without_a_weight_costs_the_policys_step_nothing(monkeypatch):
    policy, rollout, advantage, target = rollout_of("gaussian")
    batch = samples_of(rollout, Estimate(advantage, target))
    monkeypatch.setattr(policy.critic, "loss", lambda *_: pytest.fail("the critic's loss was computed"))
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, value_coef=0.0))
    loss, terms = rule.loss(policy.theta, batch, rule.entropy_coef)
    assert float(loss) == float(terms["policy_gradient_loss"])


def test_further_passes_continue_from_a_checkpoint():
    options = {"critic_epochs": 2, "critic_learning_rate": 3e-4, "value_coef": 0.0}
    policy, rule, _ = after_updates("gaussian", 1, **options)
    other = ClippedSurrogate(policy, rule.options)
    other.load_state(rule.state())
    assert rule.state().keys() == other.state().keys()
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in rule.state().items())
    assert rule.state()["critic_steps"] == 2  # minibatches of 256


@pytest.mark.parametrize(
    ("progress", "decay", "kl", "clipped", "factor"),
    [
        (0.0, "linear", 0.004, 0.1, 1.5),
        (0.0, "linear", 0.021, 0.1, 1 / 1.5),
        (0.0, "linear", 0.01, 0.1, 1.0),
        (0.9, "linear", 0.0001, 0.0, 1.0),  # a step of a tenth has a KL of a hundredth
        (0.9, "linear", 0.00004, 0.0, 1.5),
        (0.9, "linear", 0.001, 0.0, 1 / 1.5),
        (0.9, "none", 0.01, 0.0, 1.0),
        (0.0, "linear", 0.004, 0.5, 1.0),  # the clip binds
        (0.0, "linear", 0.021, 0.5, 1 / 1.5),
    ],
)
def test_the_adaptive_rate_keeps_the_decay_and_does_not_push_against_the_clip(progress, decay, kl, clipped, factor):
    policy, *_ = rollout_of("gaussian")
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, adaptive_kl=0.01, decay=decay))
    rule.adjust({"approx_kl": kl, "clip_fraction": clipped}, progress)
    assert float(rule.scale) == pytest.approx(factor)


def test_the_adaptive_rate_follows_the_kl_and_is_checkpointed():
    policy, rollout, advantage, target = rollout_of("gaussian")
    for adaptive_kl, expected in ((1e-6, 1 / 1.5), (10.0, 1.5)):
        rule = ClippedSurrogate(
            policy, ClippedSurrogate.Options(minibatch=64, learning_rate=1e-3, adaptive_kl=adaptive_kl)
        )
        rollout.log_prob = policy.evaluate(
            policy.theta, rollout.obs.flatten(0, 1), rollout.choice.flatten(0, 1)
        ).log_prob.view_as(rollout.log_prob)
        rule.update(rollout, Estimate(advantage, target), 0.0, torch.Generator().manual_seed(0))
        assert float(rule.scale) == pytest.approx(expected)
        other = ClippedSurrogate(policy, rule.options)
        other.load_state(rule.state())
        assert other.scale == rule.scale


@pytest.mark.parametrize("shape", [(10,), (10, 3), (10, 2, 3)])
def test_minibatches_of_indices_lie_apart_in_memory_and_are_the_same(shape):
    index = torch.randint(11, shape, generator=torch.Generator().manual_seed(0))
    parts = list(trees.split(index, 4))
    assert torch.equal(torch.cat(parts), index)
    assert [len(part) for part in parts] == [4, 4, 2]
    assert len(shape) == 1 or all(part.stride(0) == 1 for part in parts)
    plain = index.float()
    assert next(trees.split(plain, 4)).data_ptr() == plain.data_ptr()


def test_two_processes_that_average_their_gradients_step_alike():
    """The seam between `gradient` and `apply`: the mean of two halves' gradients is the whole batch's."""
    policy, rollout, advantage, target = rollout_of("gaussian")
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64, normalise_advantage=False))
    batch, rate = samples_of(rollout, Estimate(advantage, target)), torch.tensor(1e-3, dtype=torch.float64)
    whole, _ = rule.step.gradient(policy.theta, batch, rule.entropy_coef)
    halves = [rule.step.gradient(policy.theta, half, rule.entropy_coef)[0] for half in trees.split(batch, 32)]
    mean = torch.stack(halves).mean(0)
    assert torch.allclose(mean, whole, atol=1e-6)
    assert not torch.allclose(halves[0], whole, atol=1e-4)
    theta, _, norm = rule.step.apply(policy.theta, whole, rule.adam, rate)
    assert torch.allclose(theta, rule.step.apply(policy.theta, mean, rule.adam, rate)[0], atol=1e-5)
    assert norm == whole.norm()
