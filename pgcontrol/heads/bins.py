"""The common part of all heads that choose one of K bins for each joint."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import categorical
from pgcontrol.heads.base import ChoiceSpec, Head
from pgcontrol.heads.normal import spread
from pgcontrol.heads.rows import CodeRow
from pgcontrol.measures.metric import Metric
from pgcontrol.options import option


@dataclass(frozen=True)
class BinOptions:
    """The settings `--head.X` of heads with bins."""

    bins: int = option(11, "values per joint, including the two bounds", least=2, most=1024)
    initial_std: float | None = option(
        None, "σ of the first policy (Gaussian-shaped), in half-ranges; none: uniform", above=0
    )


class BinPerJoint(Head):
    """A head whose choice is one action: the index of a bin for each joint. `decode` looks up the bin's value.

    Attributes:
        centres: [K], values of the bins in half-ranges, ascending.
    """

    metrics: ClassVar = {"dead_bins": Metric("share", "bins whose probability is below 1 % of uniform in every state")}

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Any):
        super().__init__(features, low, high, options)
        self.bins = options.bins
        self.choice_spec = ChoiceSpec((self.joints,), torch.int64, self.bins)
        self.resolution = 2.0 / (self.bins - 1)
        self.centres = nn.Buffer(torch.linspace(-1.0, 1.0, self.bins))

    def row(self, params: Tensor) -> CodeRow:
        """The distribution over bins. By default params are logits [B, A, K], and joints are independent."""
        return CodeRow(params)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """[count, A, K]."""
        return categorical.race(count, self.joints, self.bins, rng=rng)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """A bin for every joint, by the exponential race."""
        return self.row(params).draw(noise)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Log-probability of all joints' bins together, [B]."""
        return self.row(params).log_prob(choice)

    def entropy(self, params: Tensor) -> Tensor:
        """Entropy of all joints' bins together, [B]."""
        return self.row(params).entropy()

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL of all joints' bins together, [B]."""
        return self.row(old).kl(self.row(new))

    def mode(self, params: Tensor) -> Tensor:
        """The most likely bin of every joint."""
        return self.row(params).mode()

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Joints with a changed sign reverse the order of their bins."""
        moved = params[:, order]
        return torch.where(sign.view(-1, 1) < 0, moved.flip(-1), moved)

    def decode(self, choice: Tensor) -> Tensor:
        return self.to_bounds(self.centres[choice]).unsqueeze(1)

    def encode(self, action: Tensor) -> Tensor:
        """The nearest bin of every joint."""
        return categorical.nearest(self.to_unit(action[:, 0]), self.centres)

    def measures(self, logits: Tensor, p: Tensor, within: Tensor | float = 0.0) -> dict[str, Tensor]:
        """Measures for `describe`.

        Args:
            logits: [..., A, K].
            p: probabilities, [B, A, K].
            within: variance inside each bin.

        Returns:
            Standard deviation of the decoded action per joint, perplexity divided by K, fraction of dead bins, and
            probability of the two outer bins.
        """
        usage = categorical.usage(logits, p, "bins")
        return spread(self.deviations(p, within)) | usage | {"saturation": (p[..., 0] + p[..., -1]).mean()}

    def deviations(self, p: Tensor, within: Tensor | float = 0.0) -> Tensor:
        """Standard deviation of the decoded action, [B, A], for probabilities [B, A, K]; `within` as in `measures`."""
        mean = (p * self.centres).sum(-1, keepdim=True)
        return (p * ((self.centres - mean) ** 2 + within)).sum(-1).sqrt()
