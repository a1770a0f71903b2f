"""A one-step bandit with two peaks: does a head get across the valley?

One joint, one step, reward of the action a in [−1, 1]: a wide low peak where every policy starts, and a narrow one
twice as high beyond a valley. A distribution of one mode climbs what is under most of its mass; one with room for two
can hold on to a peak that it samples once in a hundred.
"""

import math
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from pgcontrol.learning.optimiser import Adam, adam_step
from pgcontrol.options import composed
from pgcontrol.runs import catalog

WIDE, NARROW, VALLEY = -0.1, 0.8, 0.4
"""Where the peaks are, and the lowest point between them."""


def reward(action: Tensor) -> Tensor:
    """½ exp(−½ ((a + 0.1) / 0.25)²) + exp(−½ ((a − 0.8) / 0.1)²)."""
    wide = 0.5 * torch.exp(-0.5 * ((action - WIDE) / 0.25) ** 2)
    return wide + torch.exp(-0.5 * ((action - NARROW) / 0.1) ** 2)


def actions_after_training(
    name: str, options: dict[str, Any], seeds: int, updates: int = 100, samples: int = 64, rate: float = 0.03
) -> Tensor:
    """Actions of the mode after training, [seeds]: one policy per seed, all trained in parallel.

    PPO's clipped surrogate (ε = 0.2), 4 full-batch epochs of Adam an update, advantages standardised per seed. The
    seeds' weights are stacked; their losses are added up, and Adam works entry by entry, so they do not meet.
    """
    torch.manual_seed(0)
    cls = catalog.heads()[name]
    heads = [
        cls(1, torch.tensor([-1.0]), torch.tensor([1.0]), composed(cls.Options, options)(**options))
        for _ in range(seeds)
    ]
    head, rng = heads[0].requires_grad_(False), torch.Generator().manual_seed(0)
    weights = {n: torch.stack([h.get_parameter(n).detach() for h in heads]) for n, _ in head.named_parameters()}
    names, shapes = list(weights), [w.shape for w in weights.values()]
    theta = torch.cat([w.reshape(-1) for w in weights.values()])
    adam = Adam(torch.zeros_like(theta), torch.zeros_like(theta), torch.zeros((), dtype=torch.float64))
    rate_tensor = torch.tensor(rate, dtype=torch.float64)
    feature = torch.ones(1, 1)

    def params_of(theta: Tensor) -> Tensor:
        parts = [x.view(s) for x, s in zip(theta.split([math.prod(s) for s in shapes]), shapes, strict=True)]
        one = torch.func.vmap(lambda w: torch.func.functional_call(head, w, (feature,)).squeeze(0))
        return one(dict(zip(names, parts, strict=True)))

    for _ in range(updates):
        params = params_of(theta).repeat_interleave(samples, 0)
        choice = head.sample(params, rng)
        old = head.log_prob(params, choice)
        gain = reward(head.decode(choice)).view(seeds, samples)
        advantage = ((gain - gain.mean(1, keepdim=True)) / (gain.std(1, keepdim=True) + 1e-8)).view(-1)
        for _ in range(4):
            leaf = theta.detach().requires_grad_()
            new = head.log_prob(params_of(leaf).repeat_interleave(samples, 0), choice)
            ratio = (new - old).exp()
            surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            (gradient,) = torch.autograd.grad(-surrogate.sum() / samples, leaf)
            step, adam = adam_step(gradient, adam, rate_tensor)
            theta = theta - step
    return head.decode(head.mode(params_of(theta))).flatten()


def on_the_high_peak(name: str, options: dict[str, Any], seeds: int = 200) -> int:
    """The number of seeds that end on the high peak."""
    return int((actions_after_training(name, options, seeds) > VALLEY).sum())


def main() -> None:
    """Print the share of every head that starts from a given deviation, with its 95 % Wilson interval."""
    torch.set_num_threads(1)
    print("| head | on the high peak | 95 % |\n|---|---:|---:|")
    for name, cls in catalog.heads().items():
        if "initial_std" in cls.Options.__dataclass_fields__:
            count = on_the_high_peak(name, {"initial_std": 0.37})
            ends = stats.binomtest(count, 200).proportion_ci(method="wilson")
            print(f"| {name} | {count / 200:.1%} | {ends.low:.1%} … {ends.high:.1%} |", flush=True)


if __name__ == "__main__":
    main()
