"""Laws of trunks."""

import copy

import torch

from pgcontrol.laws.base import law, require, rng, shaped, within
from pgcontrol.trunks.base import Trunk

INPUTS, HIDDEN = 5, [32, 32]


def make(cls: type[Trunk]) -> Trunk:
    """A new trunk."""
    torch.manual_seed(0)
    return cls(INPUTS, HIDDEN, cls.Options())


@law
def features_are_of_the_size_said_and_each_row_is_its_own(trunk: Trunk) -> None:
    """[B, O] -> [B, F], F as `features` returns it, and no row depends on the others."""
    obs = torch.randn(7, INPUTS, generator=rng())
    features, size = trunk(obs), type(trunk).features(INPUTS, HIDDEN)
    shaped("forward", features, "[B, F]", (7, size), torch.float32)
    one = features[2:3]
    within("features of a row alone and among others", trunk(obs[2:3]), one, 1e-6 + 1e-5 * one.abs())


@law
def every_weight_learns(trunk: Trunk) -> None:
    """A few gradient steps change every weight: blocks that are 0 at first must learn as well."""
    trunk = copy.deepcopy(trunk)
    before = {name: p.detach().clone() for name, p in trunk.named_parameters()}
    descent = torch.optim.SGD(trunk.parameters(), 0.1)
    obs = torch.randn(64, INPUTS, generator=rng())
    target = torch.randn(64, type(trunk).features(INPUTS, HIDDEN), generator=rng(1))
    for _ in range(3):
        descent.zero_grad()
        (trunk(obs) - target).square().mean().backward()
        descent.step()
    for name, weight in trunk.named_parameters():
        require((weight - before[name]).abs().max() > 0, f"the weight {name!r} does not change in 3 gradient steps")
