"""A head for the laws, and helpers to sample from it."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pgcontrol.heads.base import Head
from pgcontrol.laws.base import NotJudged, finite, require, rng
from pgcontrol.options import composed

FEATURES, JOINTS, BATCH = 8, 3, 5
LOW, HIGH = torch.tensor([-1.0, -0.4, 0.5]), torch.tensor([1.0, 0.4, 2.5])


def make(cls: type[Head], options: Mapping[str, Any]) -> Head:
    """A head with random weights instead of the near-zero initialisation, so that rows and joints differ."""
    torch.manual_seed(0)
    head = cls(FEATURES, LOW, HIGH, composed(cls.Options, options)(**options))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return head.requires_grad_(False)


def params_of(head: Head) -> Tensor:
    """params [B, ...] of some states."""
    return head(torch.randn(BATCH, FEATURES, generator=rng(1)))


def many(head: Head, params: Tensor, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """n choices for each row: params [B·n, ...], choices [B·n, ...]."""
    repeated = params.repeat_interleave(n, 0)
    return repeated, head.sample(repeated, rng(seed))


def unit(action: Tensor) -> Tensor:
    """Convert an action to half-ranges."""
    return (action - LOW) / (HIGH - LOW) * 2 - 1


def every_choice(head: Head) -> Tensor:
    """All possible choices, [n, *shape]."""
    shape, dtype, values = head.choice_spec
    entries = math.prod(shape)
    if values is None or values**entries > 20_000:
        raise NotJudged(
            "choices cannot be enumerated" if values is None else f"there are too many choices, {values}^{entries}"
        )
    return torch.tensor(list(itertools.product(range(values), repeat=entries)), dtype=dtype).view(-1, *shape)


def slope(head: Head, params: Tensor, choice: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """log_prob and its derivative along a step of params."""
    both: Any = torch.func.jvp(lambda p: head.log_prob(p, choice), (params,), (step,))
    return both


def all_finite(head: Head, params: Tensor, when: str) -> None:
    """Check that the results and gradients of every method are finite for these params."""
    shape, dtype, values = head.choice_spec
    edges = (0, values - 1) if values else (-1.0, 1.0) if dtype.is_floating_point else ()
    choices = [head.sample(params, rng()), head.mode(params)]
    choices += [torch.full((BATCH, *shape), edge, dtype=dtype) for edge in edges]
    for choice in choices:
        finite("decode", head.decode(choice), when)
    leaf = params.clone().requires_grad_()
    measures = [("log_prob", head.log_prob(leaf, choice)) for choice in choices]
    measures += [("entropy", head.entropy(leaf))]
    measures += [("kl", kl) for kl in (head.kl(params, leaf), head.kl(leaf, params.roll(1, 0)))]
    for method, measure in measures:
        finite(method, measure, when)
        (gradient,) = torch.autograd.grad(measure.sum(), leaf, allow_unused=True)
        if gradient is not None:
            finite(f"gradient of {method}", gradient, when)
    for name, value in head.describe(params).items():
        finite(f"describe: {name!r}", torch.as_tensor(value), when)


def within_bounds(method: str, action: Tensor) -> None:
    """Check that every action is in [low, high]."""
    outside = ~((action >= LOW) & (action <= HIGH))
    require(not outside.any(), f"{method}: {int(outside.sum())} of {outside.numel()} numbers lie outside [low, high]")
