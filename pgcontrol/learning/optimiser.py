"""Gradient steps: compute the gradient of a loss, clip it and apply an optimiser. All vectors are [P]."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pgcontrol.machine import trees
from pgcontrol.machine.compiler import EAGER, Compilation
from pgcontrol.machine.ranks import ALONE, Ranks

# (weights [P], further arguments) -> (loss, a scalar; other scalars to log, by name)
Loss = Callable[..., tuple[Tensor, dict[str, Tensor]]]


class Trained(Protocol):
    """What steps change: a policy, or a policy with more networks. See `flat.Flat`."""

    @property
    def theta(self) -> Tensor:
        """[P]."""
        ...

    @property
    def rates(self) -> Tensor | None:
        """[P], or None if all are 1."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """Tensors that a loss reads in addition to its arguments."""
        ...


class Metrics(NamedTuple):
    """The scalars of one gradient step.

    Attributes:
        names: the first one is `loss`. After the step, the last one is `grad_norm`.
        values: [M] float32.
    """

    names: tuple[str, ...]
    values: Tensor

    def of(self, name: str) -> float:
        """The value of one metric."""
        return float(self.values[self.names.index(name)])


class Adam(NamedTuple):
    """State of Adam: moments [P] and the number of steps (float64, so that the bias corrections are exact)."""

    moment1: Tensor
    moment2: Tensor
    steps: Tensor


def adam_step(gradient: Tensor, adam: Adam, rate: Tensor) -> tuple[Tensor, Adam]:
    """The step and the new state of Adam (Kingma & Ba 2015, algorithm 1) with β = 0.9, 0.999, ε = 1e-5.

    This ε is used by the PPO implementations behind the published results; Adam's default is 1e-8.
    """
    beta1, beta2 = 0.9, 0.999
    steps = adam.steps + 1
    moment1 = torch.lerp(adam.moment1, gradient, 1 - beta1)
    moment2 = beta2 * adam.moment2 + (1 - beta2) * gradient * gradient
    scale = (moment2 / (1 - beta2**steps)).sqrt() + 1e-5
    return moment1 / scale * (rate / (1 - beta1**steps)), Adam(moment1, moment2, steps)


def rmsprop_step(gradient: Tensor, state: Adam, rate: Tensor) -> tuple[Tensor, Adam]:
    """The step and the new state of RMSprop, with α = 0.99 and ε = 1e-5 in the root (Mnih et al. 2016, section 4)."""
    moment2 = 0.99 * state.moment2 + 0.01 * gradient * gradient
    return gradient / (moment2 + 1e-5).sqrt() * rate, Adam(state.moment1, moment2, state.steps + 1)


def sgd_step(gradient: Tensor, state: Adam, rate: Tensor) -> tuple[Tensor, Adam]:
    """The step and the new state of plain gradient descent."""
    return gradient * rate, state._replace(steps=state.steps + 1)


# (gradient [P], state, step size) -> (step [P], new state)
OPTIMISERS = {"adam": adam_step, "rmsprop": rmsprop_step, "sgd": sgd_step}


class GradientStep:
    """A step of gradient descent in two parts: `gradient`, then `apply`, which clips the gradient and takes the step.

    A call does both. With several ranks, each rank computes the gradient of its part of the batch, and all use the
    mean, so the loss must be a mean over the batch. The call and both parts are pure functions of tensors. If the loss
    takes only tensors and named tuples of tensors, each of them can be compiled as one graph.
    """

    def __init__(
        self,
        policy: Trained,
        loss: Loss,
        max_norm: float | None = None,
        optimiser: Callable[[Tensor, Adam, Tensor], tuple[Tensor, Adam]] = adam_step,
        scaled: bool = True,
        compilation: Compilation = EAGER,
        rows: int | None = None,
        ranks: Ranks = ALONE,
    ):
        """Args:
        policy: what the steps change.
        loss: its gradient is taken.
        max_norm: norm to which longer gradients are scaled; None: no limit.
        optimiser: one of `OPTIMISERS`.
        scaled: whether to use the head's step-size multipliers.
        compilation: compiles the step.
        rows: size of the batches with which the compiled step is used; others, such as the last, smaller minibatch of
            an epoch, would need their own graphs and run uncompiled. None: all batches have the same size.
        ranks: the processes that share each batch.
        """
        self.loss, self.max_norm, self.optimiser, self.rows, self.ranks = loss, max_norm, optimiser, rows, ranks
        self.rates = policy.rates if scaled else None
        # (theta, further arguments of the loss) -> (gradient, Metrics)
        self.gradient: Callable[..., tuple[Tensor, Metrics]] = compilation(self._gradient, list(policy.buffers()))
        rates = [] if self.rates is None else [self.rates]
        # (theta, gradient, Adam's state, step size) -> (theta, Adam's state, norm of the gradient before clipping)
        self.apply: Callable[..., tuple[Tensor, Adam, Tensor]] = compilation(self._apply, rates)
        # one graph for both: with two graphs, a step on a small minibatch takes a tenth longer
        self._both: Callable[..., tuple[Tensor, Adam, Metrics]] = compilation(self._whole, list(policy.buffers()))

    def __call__(self, theta: Tensor, adam: Adam, rate: Tensor, batch: Any, *args: Any) -> tuple[Tensor, Adam, Metrics]:
        """Take one step with step size `rate`: returns new weights [P], Adam's new state and metrics.

        The loss is called with the weights, the batch (a tree of tensors [B, ...]) and `args`.
        """
        usual = self.rows is None or self.rows == len(trees.leaves(batch)[0])
        if self.ranks.size == 1:
            return (self._both if usual else self._whole)(theta, adam, rate, batch, *args)
        part = trees.each(lambda x: x[self.ranks.rows(len(x))], batch)
        gradient, (names, values) = (self.gradient if usual else self._gradient)(theta, part, *args)
        mean = self.ranks.mean(torch.cat((gradient, values)))  # one message for gradient and metrics
        theta, adam, norm = (self.apply if usual else self._apply)(theta, mean[: len(gradient)], adam, rate)
        return theta, adam, Metrics((*names, "grad_norm"), torch.cat((mean[len(gradient) :], norm.view(1))))

    def _whole(self, theta: Tensor, adam: Adam, rate: Tensor, *args: Any) -> tuple[Tensor, Adam, Metrics]:
        gradient, (names, values) = self._gradient(theta, *args)
        theta, adam, norm = self._apply(theta, gradient, adam, rate)
        return theta, adam, Metrics((*names, "grad_norm"), torch.cat((values, norm.view(1))))

    def _gradient(self, theta: Tensor, *args: Any) -> tuple[Tensor, Metrics]:
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            loss, named = self.loss(leaf, *args)
            (gradient,) = torch.autograd.grad(loss, leaf)
        named = {"loss": loss} | named
        return gradient, Metrics(tuple(named), torch.stack([x.detach().float() for x in named.values()]))

    def _apply(self, theta: Tensor, gradient: Tensor, adam: Adam, rate: Tensor) -> tuple[Tensor, Adam, Tensor]:
        norm = gradient.norm()
        if self.max_norm is not None:
            gradient = gradient * (self.max_norm / (norm + 1e-6)).clamp_max(1.0)
        step, adam = self.optimiser(gradient, adam, rate)
        return theta - (step if self.rates is None else step * self.rates), adam, norm


def fresh_adam(policy: Trained) -> Adam:
    """Adam's state before the first step."""
    zeros = torch.zeros_like(policy.theta)
    return Adam(zeros, zeros.clone(), torch.zeros((), dtype=torch.float64))


def load_adam(like: Adam, state: dict[str, Tensor], prefix: str = "") -> Adam:
    """Adam's state from a checkpoint's tensors. Raises ValueError if the shape differs from that of `like`."""
    loaded = Adam(*(state[prefix + name].clone() for name in Adam._fields))
    if loaded.moment1.shape != like.moment1.shape:
        raise ValueError(f"rule.{prefix}moment1 has shape {tuple(loaded.moment1.shape)}")
    return loaded


def schedule(options: Any, progress: float) -> float:
    """The factor of the step size by `decay`, at this fraction of the budget."""
    return 1 - progress if options.decay == "linear" else 1.0


def decayed(options: Any, progress: float) -> Tensor:
    """The step size after `decay`, at this fraction of the budget: a float64 scalar."""
    return torch.tensor(options.learning_rate * schedule(options, progress), dtype=torch.float64)
