"""Independent categoricals, as functions of logits [B, P, K]: P positions, each one of K."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def sample(logits: Tensor, rng: Generator) -> Tensor:
    """An index for every position, [B, P]; by the exponential race: argmax p_k / e_k, e_k ~ Exp(1), is k with p_k."""
    race = torch.empty_like(logits).exponential_(generator=rng)
    return (logits - race.log()).argmax(-1)


def log_prob(logits: Tensor, index: Tensor) -> Tensor:
    """Sum over positions of log softmax at the chosen index, [B]."""
    # a masked sum, not gather: torch 2.13 drops gather's gradient when a whole step is compiled for the CPU
    values = torch.arange(logits.shape[-1], device=logits.device)
    chosen = torch.where(index.unsqueeze(-1) == values, logits, 0.0).sum(-1)
    return (chosen - logits.logsumexp(-1)).sum(-1)


def entropy(logits: Tensor) -> Tensor:
    """−Σ p log p, summed over positions, [B]."""
    total = logits.logsumexp(-1, keepdim=True)
    return (total.squeeze(-1) - ((logits - total).exp() * logits).sum(-1)).sum(-1)


def kl(old: Tensor, new: Tensor) -> Tensor:
    """Σ p_old (log p_old − log p_new), summed over positions, [B]."""
    log_old = old - old.logsumexp(-1, keepdim=True)
    log_new = new - new.logsumexp(-1, keepdim=True)
    return (log_old.exp() * (log_old - log_new)).sum((-2, -1))
