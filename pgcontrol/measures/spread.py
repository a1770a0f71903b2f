"""How wide a policy is: pure functions of actions drawn from it, so that every head stands on one scale."""

import math

import torch
from torch import Tensor

CELLS = 21  # of the histogram in `executed_entropy`; they are half as wide as eleven bins are apart


def unit(actions: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Actions [..., A] in half-ranges: −1 and 1 are the joint's bounds."""
    return (2 * actions - low - high) / (high - low)


def spread(units: Tensor) -> Tensor:
    """Deviation of each joint's action within a state, averaged over states: draws [S, B, A] -> [A], in half-ranges.

    0.577 is uniform over the joint's range, 1 is bang-bang by the toss of a coin.
    """
    return units.std(0).mean(0)


def saturation(units: Tensor) -> Tensor:
    """Share of actions [..., A] within a hundredth of the half-range of a bound."""
    return (units.abs() > 0.99).float().mean()


def executed_entropy(units: Tensor) -> Tensor:
    """How variously a policy acts over all states: actions [M, A] -> entropy of each joint's histogram, averaged.

    In units of the uniform's, so within [0, 1]. A policy of no spread in any state still acts variously when its states
    ask for it; one that is 0 here always does the same.
    """
    cell = ((units + 1) * (CELLS / 2)).long().clamp(0, CELLS - 1)
    joint = torch.arange(units.shape[-1])
    count = torch.bincount((cell + CELLS * joint).flatten(), minlength=CELLS * len(joint)).view(-1, CELLS)
    return torch.special.entr(count / len(units)).sum(-1).mean() / math.log(CELLS)


def perplexity(entropy: Tensor, entries: int, values: int) -> Tensor:
    """How many of K values a choice of L entries really varies among, as a share of K: entropies in nats [B] -> scalar.

    exp(H / L) / K, averaged over states: 1 for uniform choices, 1/K for certain ones.
    """
    return (entropy / entries).exp().mean() / values


def dead(choices: Tensor, values: int) -> Tensor:
    """Share of the K values that an entry never takes, averaged over entries: choices [M, L] in 0 … K − 1 -> scalar.

    A value counts as dead when it came less than a hundredth as often as under uniform choices.
    """
    entries = choices.shape[-1]
    count = torch.bincount((choices + values * torch.arange(entries)).flatten(), minlength=values * entries)
    return (count < 0.01 * len(choices) / values + 0.5).float().mean()
