"""Laws of critics: value and loss must be consistent, and adapting must not change predictions."""

import copy

import torch
from torch import Tensor

from pgcontrol.critics.base import Critic
from pgcontrol.laws.base import NotJudged, differentiable, finite, law, require, rng, same, shaped, within
from pgcontrol.machine.compiler import Graph, compiler

FEATURES, BATCH = 8, 64
RETURNS = [(-60.0, 30.0), (-4.5, 4.5), (-2.0, 2.0), (3.0, 25.0)]


def make(cls: type[Critic]) -> Critic:
    """A new critic."""
    torch.manual_seed(0)
    return cls(FEATURES, cls.Options())


def _one_that_learns(critic: Critic) -> Critic:
    """A copy to train."""
    if not list(critic.parameters()):
        raise NotJudged("it has no weights")
    return copy.deepcopy(critic)


def _fit(critic: Critic, features: Tensor, target: Tensor, steps: int = 400) -> None:
    optimiser = torch.optim.Adam(critic.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        critic.loss(critic(features), target).mean().backward()
        optimiser.step()


@law
def shapes(critic: Critic) -> None:
    """Value and loss are one number per row."""
    output, target = critic(torch.randn(BATCH, FEATURES, generator=rng())), torch.randn(BATCH, generator=rng(1))
    for method, got in {"value": critic.value(output), "loss": critic.loss(output, target)}.items():
        shaped(method, got, "[B]", (BATCH,), torch.float32)


@law
def the_least_loss_is_at_the_target(critic: Critic) -> None:
    """Value and loss are consistent: after fitting to returns, the values are these returns."""
    critic = _one_that_learns(critic)
    features = torch.nn.functional.one_hot(torch.arange(FEATURES), FEATURES).float()
    target = torch.linspace(-3, 5, FEATURES)
    critic.adapt(target)
    _fit(critic, features, target)
    within("value after 400 steps on loss", critic.value(critic(features)), target, 0.05 + 1e-5 * target.abs())


@law
def the_value_of_a_lottery_is_its_mean(critic: Critic) -> None:
    """If one state has several returns, the value is their mean: three times 1 and once 5 -> 2."""
    critic = _one_that_learns(critic)
    features, target = torch.ones(4, FEATURES), torch.tensor([1.0, 1.0, 1.0, 5.0])
    _fit(critic, features, target)
    within("value after 400 steps on the returns 1, 1, 1 and 5", critic.value(critic(features)), 2.0, 0.05)


@law
def gradient_of_the_loss_against_finite_differences(critic: Critic) -> None:
    """The gradient of the loss with respect to the output agrees with finite differences."""
    critic = _one_that_learns(critic)
    output = critic(torch.randn(5, FEATURES, generator=rng())).detach().double().requires_grad_()
    target = torch.randn(5, generator=rng(1)).double()
    differentiable("loss", lambda out: critic.loss(out, target), output)


@law
def returns_of_any_size_give_finite_numbers_and_gradients(critic: Critic) -> None:
    """Values, losses and gradients are finite for returns of ±10 000, before and after adapting to them."""
    critic = _one_that_learns(critic)
    features = torch.randn(4, FEATURES, generator=rng())
    target = torch.tensor([-1e4, 0.0, 1e-6, 1e4])
    for when in (" before adapt", " after adapt"):
        output = critic(features).detach().requires_grad_()
        loss = critic.loss(output, target)
        finite("loss", loss, when)
        (gradient,) = torch.autograd.grad(loss.sum(), output)
        finite("gradient of loss", gradient, when)
        finite("value", critic.value(output), when)
        critic.adapt(target)


@law
def adapting_does_not_move_predictions(critic: Critic) -> None:
    """Predictions inside both ranges change by at most a fiftieth of the wider range (two bins of HL-Gauss)."""
    fitted, features = _one_that_learns(critic), torch.eye(FEATURES)
    _fit(fitted, features, torch.linspace(-8, 8, FEATURES))
    before = fitted.value(fitted(features)).detach()
    for low, high in RETURNS:
        moved = copy.deepcopy(fitted)
        moved.adapt(torch.tensor([low, high]))
        after = moved.value(moved(features)).detach()
        inside = (before >= low) & (before <= high)
        require(inside.any(), f"value: no prediction within [{low}, {high}] after a fit to returns from -8 to 8")
        within(f"value after adapt([{low}, {high}])", after[inside], before[inside], 0.02 * max(16.0, high - low))


@law
def adapting_again_changes_nothing(critic: Critic) -> None:
    """A second adapt to the same returns does not change any weight or buffer."""
    critic, target = copy.deepcopy(critic), torch.randn(BATCH, generator=rng())
    critic.adapt(target)
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    critic.adapt(target)
    for name, value in critic.state_dict().items():
        same(f"adapt a second time: {name!r}", value, before[name])


@law
def weights_round_trip(critic: Critic) -> None:
    """Everything that a critic has learned is in its state_dict."""
    learned = copy.deepcopy(critic)
    learned.adapt(torch.linspace(100, 300, BATCH))
    other = make(type(critic))
    other.load_state_dict(learned.state_dict())
    features = torch.randn(BATCH, FEATURES, generator=rng())
    same("value after load_state_dict", other.value(other(features)), learned.value(learned(features)))


@law
def compiled_and_eager_agree_before_and_after_adapting(critic: Critic) -> None:
    """A compiled step must use the critic's new range, not the one it was traced with."""
    if compiler() is None:
        raise NotJudged("there is no C++ compiler here")
    critic = _one_that_learns(critic).requires_grad_(False)

    def both(features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
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
        within("loss + value, compiled and eager", value_, value, 1e-8 + 1e-5 * value.abs())
        within("its gradient, compiled and eager", gradient_, gradient, 1e-6 + 1e-4 * gradient.abs())
        critic.adapt(10 * target)
    require(compiled.compilation.on, "loss and value cannot be compiled; see the warning")
