"""Categorical distributions over the last axis, as functions of the logits [..., K]."""

import torch
from torch import Generator, Tensor


def race(*shape: int, rng: Generator) -> Tensor:
    """Noise for `draw`, of the logits' shape: log e with e ~ Exp(1)."""
    # −log u of a uniform u is five times as fast as torch's own exponential; at u = 0, e is infinite and never wins
    return torch.rand(shape, generator=rng).log_().neg_().log_()


def draw(logits: Tensor, race: Tensor) -> Tensor:
    """Indices [...], by the exponential race: argmax_k p_k / e_k with e_k ~ Exp(1) is k with probability p_k."""
    return (logits - race).argmax(-1)


def nearest(values: Tensor, centres: Tensor) -> Tensor:
    """Index of the nearest entry of the ascending `centres` [K] for each entry of `values` [...]."""
    return torch.bucketize(values, 0.5 * (centres[1:] + centres[:-1]))


def pick(values: Tensor, choice: Tensor) -> Tensor:
    """`values` [..., K] at the indices `choice` [...]."""
    if not values.requires_grad:
        return values.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
    # a masked sum: the gradient of gather is a scatter, which compiled code cannot vectorise
    indices = torch.arange(values.shape[-1], device=values.device)
    return torch.where(choice.unsqueeze(-1) == indices, values, 0.0).sum(-1)


def pick_row(rows: Tensor, choice: Tensor) -> Tensor:
    """`rows` [B, K, D] at the indices `choice` [B], [B, D]."""
    return pick(rows.mT, choice.unsqueeze(-1).expand(-1, rows.shape[-1]))


def log_prob(logits: Tensor, choice: Tensor) -> Tensor:
    """Log softmax at `choice` [...]."""
    shifted = logits - logits.amax(-1, keepdim=True).detach()  # torch's logsumexp also checks for infinities: slower
    return pick(shifted, choice) - shifted.exp().sum(-1).log()


def entropy(logits: Tensor) -> Tensor:
    """−Σ p log p, [...]."""
    # log Σ exp − Σ p·logit: the same value without log_softmax, whose kernel is slow for short rows
    total = logits.logsumexp(-1, keepdim=True)
    return total.squeeze(-1) - ((logits - total).exp() * logits).sum(-1)


def usage(logits: Tensor, p: Tensor, values: str) -> dict[str, Tensor]:
    """How many of K values are in use: perplexity of logits [..., K] divided by K, and the fraction of dead values.

    A value is dead if its probability is below one percent of 1/K in all states; p [B, ..., K] are the probabilities.
    """
    K = p.shape[-1]
    return {"perplexity": entropy(logits).exp().mean() / K, f"dead_{values}": (p.amax(0) < 0.01 / K).float().mean()}


def kl(old: Tensor, new: Tensor) -> Tensor:
    """Σ p_old (log p_old − log p_new), [...]."""
    log_old = old - old.logsumexp(-1, keepdim=True)
    log_new = new - new.logsumexp(-1, keepdim=True)
    return (log_old.exp() * (log_old - log_new)).sum(-1)
