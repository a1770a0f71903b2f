"""Categorical distributions over the last axis, as functions of their logits [..., K]."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def race(*shape: int, rng: Generator) -> Tensor:
    """Noise for `draw`, of the logits' shape: log e with e ~ Exp(1)."""
    return torch.empty(shape).exponential_(generator=rng).log_()


def draw(logits: Tensor, race: Tensor) -> Tensor:
    """Indices [...], by the exponential race: argmax p_k / e_k with e_k ~ Exp(1) falls on k with probability p_k."""
    return (logits - race).argmax(-1)


def nearest(values: Tensor, centres: Tensor) -> Tensor:
    """Indices [...] of the ascending `centres` [K] nearest to `values` [...]."""
    return torch.bucketize(values, 0.5 * (centres[1:] + centres[:-1]))


def pick(values: Tensor, choice: Tensor) -> Tensor:
    """`values` [..., K] at the indices `choice` [...]."""
    # a masked sum, not gather, whose gradient is a scatter that a compiled graph cannot vectorise
    indices = torch.arange(values.shape[-1], device=values.device)
    return torch.where(choice.unsqueeze(-1) == indices, values, 0.0).sum(-1)


def log_prob(logits: Tensor, choice: Tensor) -> Tensor:
    """Log softmax at `choice` [...]."""
    top = logits.amax(-1, keepdim=True).detach()  # by hand: torch's own also looks for infinities
    return pick(logits - top, choice) - (logits - top).exp().sum(-1).log()


def entropy(logits: Tensor) -> Tensor:
    """−Σ p log p, [...]."""
    # log Σ exp − Σ p·logit: the same number without log_softmax, whose kernel is slow on rows as short as K
    total = logits.logsumexp(-1, keepdim=True)
    return total.squeeze(-1) - ((logits - total).exp() * logits).sum(-1)


def kl(old: Tensor, new: Tensor) -> Tensor:
    """Σ p_old (log p_old − log p_new), [...]."""
    log_old = old - old.logsumexp(-1, keepdim=True)
    log_new = new - new.logsumexp(-1, keepdim=True)
    return (log_old.exp() * (log_old - log_new)).sum(-1)
