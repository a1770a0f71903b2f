"""Factorised bins: each joint's torque is one of K values, chosen by a categorical of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from pgcontrol.heads.base import ChoiceSpec, Head, output_layer
from pgcontrol.options import option


@dataclass(frozen=True)
class Options:
    """What `--head.X` sets for the bins."""

    bins: int = option(11, "values per joint, evenly spaced over its range, the bounds among them", least=2, most=1024)
    initial_std: float | None = option(
        None,
        "shape the first policy like a Gaussian of this deviation (share of the half-range); none: uniform",
        above=0,
    )


class Binned(Head):
    """K evenly spaced bins per joint, independent categoricals (Tang & Agrawal, arXiv 1901.10500, section 4).

    params [B, A, K]: logits. The choice is the bin's index. Bins have no order here: probability can pile up at both
    ends at once, which no Gaussian can.
    """

    name = "binned"
    Options = Options
    centres: Tensor

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.bins = options.bins
        self.logits = output_layer(features, self.joints * self.bins)
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, self.bins))
        if options.initial_std is not None:
            shape = -0.5 * (self.centres / options.initial_std) ** 2
            with torch.no_grad():
                self.logits.bias.copy_(shape.repeat(self.joints))

    @property
    def choice_spec(self) -> ChoiceSpec:
        """One bin index per joint."""
        return ChoiceSpec((self.joints,), torch.int64)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        return self.logits(features).unflatten(-1, (self.joints, self.bins))

    def sample(self, params: Tensor, rng: Generator) -> Tensor:
        """By the exponential race: argmax p_k / e_k with e_k ~ Exp(1) falls on k with probability p_k."""
        race = torch.empty_like(params).exponential_(generator=rng)
        return (params - race.log()).argmax(-1)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of log softmax at the chosen bin."""
        # a masked sum, not gather: torch 2.13 drops gather's gradient when a whole step is compiled for the CPU
        # (test_compiled_and_eager_agree found it)
        bins = torch.arange(self.bins, device=params.device)
        chosen = torch.where(choice.unsqueeze(-1) == bins, params, 0.0).sum(-1)
        return (chosen - params.logsumexp(-1)).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """−Σ p log p, summed over joints."""
        # log Σ exp − Σ p·logit: the same number without log_softmax, whose kernel is slow on rows as short as K
        total = params.logsumexp(-1, keepdim=True)
        return (total.squeeze(-1) - ((params - total).exp() * params).sum(-1)).sum(-1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """Σ p_old (log p_old − log p_new), summed over joints."""
        log_old, log_new = F.log_softmax(old, -1), F.log_softmax(new, -1)
        return (log_old.exp() * (log_old - log_new)).sum((-2, -1))

    def mode(self, params: Tensor) -> Tensor:
        """The likeliest bin of every joint."""
        return params.argmax(-1)

    def decode(self, choice: Tensor) -> Tensor:
        """The bin's centre."""
        return self.to_bounds(self.centres[choice])

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Deviation of the decoded action per joint, perplexity as a share of K, dead bins, mass at the two edges."""
        p = F.softmax(params, -1)
        mean = (p * self.centres).sum(-1, keepdim=True)
        std = (p * (self.centres - mean) ** 2).sum(-1).sqrt()
        perplexity = (-(p * p.clamp_min(1e-30).log()).sum(-1)).exp()
        per_joint = std.mean(0)
        return {
            "std": std.mean(),
            "std_min": per_joint.min(),
            "std_max": per_joint.max(),
            "perplexity": perplexity.mean() / self.bins,
            # a bin is dead when no visited state gives it a percent of the uniform share
            "dead_bins": (p.amax(0) < 0.01 / self.bins).float().mean(),
            "saturation": (p[..., 0] + p[..., -1]).mean(),
        } | {f"std_joint{i}": s for i, s in enumerate(per_joint)}
