"""Laws that every critic in the catalogue keeps. A new critic's file is tested by being there."""

import pytest
import torch

from pgcontrol.machine.compiler import Graph
from pgcontrol.runs import catalog

FEATURES, BATCH = 8, 64


def make(name: str):
    torch.manual_seed(0)
    cls = catalog.critics()[name]
    return cls(FEATURES, cls.Options())


# "none" has no weights and nothing to learn
LEARNING = [name for name in sorted(catalog.critics()) if list(make(name).parameters())]


@pytest.fixture(params=LEARNING)
def critic(request):
    return make(request.param)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fit(critic, features, target, steps: int = 400) -> None:
    optimiser = torch.optim.Adam(critic.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        critic.loss(critic(features), target).mean().backward()
        optimiser.step()


def test_shapes(critic):
    output, target = critic(torch.randn(BATCH, FEATURES)), torch.randn(BATCH)
    assert critic.value(output).shape == (BATCH,)
    assert critic.loss(output, target).shape == (BATCH,)


def test_the_least_loss_is_at_the_target(critic):
    """Value and loss speak of the same number: fitted to returns, the values are those returns."""
    features = torch.nn.functional.one_hot(torch.arange(FEATURES), FEATURES).float()
    target = torch.linspace(-3, 5, FEATURES)
    critic.adapt(target)
    fit(critic, features, target)
    assert torch.allclose(critic.value(critic(features)), target, atol=0.05)


def test_the_value_of_a_lottery_is_its_mean(critic):
    """Two returns, one state: the value is their mean, three times 1 and once 5 -> 2."""
    features, target = torch.ones(4, FEATURES), torch.tensor([1.0, 1.0, 1.0, 5.0])
    fit(critic, features, target)
    assert torch.allclose(critic.value(critic(features)), torch.full((4,), 2.0), atol=0.05)


def test_gradient_of_the_loss_against_finite_differences(critic):
    output = critic(torch.randn(5, FEATURES, generator=rng())).detach().double().requires_grad_()
    target = torch.randn(5, generator=rng(1)).double()
    assert torch.autograd.gradcheck(lambda out: critic.loss(out, target), output)


def test_returns_of_any_size_give_finite_numbers_and_gradients(critic):
    features = torch.randn(4, FEATURES, generator=rng())
    target = torch.tensor([-1e4, 0.0, 1e-6, 1e4])
    for _ in range(2):
        output = critic(features).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic.loss(output, target).sum(), output)
        assert gradient.isfinite().all()
        assert critic.value(output).isfinite().all()
        critic.adapt(target)


@pytest.mark.parametrize("returns", [(-60.0, 30.0), (-4.5, 4.5), (-2.0, 2.0), (3.0, 25.0)], ids=str)
def test_adapting_does_not_move_predictions(critic, returns):
    """What was predicted inside both ranges stays, to a fiftieth of the wider one: a bin of a histogram twice that."""
    features = torch.eye(FEATURES)
    fit(critic, features, torch.linspace(-8, 8, FEATURES))
    before = critic.value(critic(features)).detach()
    critic.adapt(torch.tensor(returns))
    after = critic.value(critic(features)).detach()
    inside = (before >= returns[0]) & (before <= returns[1])
    assert inside.any()
    assert (after - before)[inside].abs().max() <= 0.02 * max(16.0, returns[1] - returns[0])


def test_adapting_again_changes_nothing(critic):
    target = torch.randn(BATCH, generator=rng())
    critic.adapt(target)
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    critic.adapt(target)
    assert all(torch.equal(before[k], v) for k, v in critic.state_dict().items())


def test_weights_round_trip(critic):
    critic.adapt(torch.linspace(100, 300, BATCH))
    other = make(critic.name)
    other.load_state_dict(critic.state_dict())
    features = torch.randn(BATCH, FEATURES)
    assert torch.equal(other.value(other(features)), critic.value(critic(features)))


@pytest.mark.slow
def test_compiled_and_eager_agree_before_and_after_adapting(critic):
    """A compiled step must see the critic's new range, not the one it was traced with."""
    critic.requires_grad_(False)

    def both(features, target):
        leaf = features.detach().requires_grad_()
        with torch.enable_grad():
            output = critic(leaf)
            value = critic.loss(output, target).mean() + critic.value(output).mean()
            (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), gradient

    compiled = Graph(both, [*critic.parameters(), *critic.buffers()])
    features = torch.randn(BATCH, FEATURES, generator=rng())
    for size in (1.0, 30.0):
        target = size * torch.randn(BATCH, generator=rng(1))
        (value, gradient), (value_, gradient_) = both(features, target), compiled(features, target)
        assert torch.allclose(value, value_, rtol=1e-5)
        assert torch.allclose(gradient, gradient_, rtol=1e-4, atol=1e-6)
        critic.adapt(10 * target)
