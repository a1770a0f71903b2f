"""How wide a policy is: pure functions of its sampled actions, so that all heads can be compared."""

import math

import torch
from torch import Tensor

CELLS = 21  # of the histogram in `executed_entropy`; a cell is half as wide as the distance of 11 bins


def unit(actions: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Convert actions [..., A] to half-ranges: −1 and 1 are the joint's bounds."""
    return (2 * actions - low - high) / (high - low)


def spread(units: Tensor) -> Tensor:
    """Standard deviation of each joint's action in a state, averaged over states: draws [S, B, A] -> [A], half-ranges.

    0.577 is uniform over the joint's range; 1 is one of the two bounds at random.
    """
    return units.std(0).mean(0)


def saturation(units: Tensor) -> Tensor:
    """Fraction of actions [..., A] within a hundredth of the half-range of a bound."""
    return (units.abs() > 0.99).float().mean()


def executed_entropy(units: Tensor) -> Tensor:
    """How much a policy's actions vary over all states: actions [M, A] -> mean entropy of the joints' histograms.

    In units of the uniform distribution's entropy, so in [0, 1]. A policy with no spread in any state can still vary
    its actions between states; if this is 0, it always does the same.
    """
    cell = ((units + 1) * (CELLS / 2)).long().clamp(0, CELLS - 1)
    joint = torch.arange(units.shape[-1])
    count = torch.bincount((cell + CELLS * joint).flatten(), minlength=CELLS * len(joint)).view(-1, CELLS)
    return torch.special.entr(count / len(units)).sum(-1).mean() / math.log(CELLS)


def perplexity(entropy: Tensor, entries: int, values: int) -> Tensor:
    """How many of K values the L entries of a choice use, divided by K: entropies in nats [B] -> scalar.

    exp(H / L) / K, averaged over states: 1 for uniform choices, 1/K for deterministic ones.
    """
    return (entropy / entries).exp().mean() / values


def dead(choices: Tensor, values: int) -> Tensor:
    """Fraction of the K values that an entry never takes, averaged over entries: choices [M, L] in 0 … K − 1 -> scalar.

    A value counts as dead if its frequency is below a hundredth of that under uniform choices.
    """
    entries = choices.shape[-1]
    count = torch.bincount((choices + values * torch.arange(entries)).flatten(), minlength=values * entries)
    return (count < 0.01 * len(choices) / values + 0.5).float().mean()
