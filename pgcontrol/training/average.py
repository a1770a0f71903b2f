"""The mean of the weights over the last part of training, for all who play the policy."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pgcontrol.policy import Policy
from pgcontrol.runs.load import AVERAGE


class Average:
    """The uniform mean of a policy's weights after each update (Polyak & Juditsky 1992; Izmailov et al. 2018).

    Training goes on from the weights themselves. Checkpoints hold both, and `load` gives the mean.
    """

    def __init__(self, policy: Policy, start: float | None):
        """`start`: the share of the budget from which updates count; None: none does."""
        self.policy, self.start = policy, start
        self.mean = torch.zeros_like(policy.theta, dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.int64)

    def take(self, progress: float) -> None:
        """Count the weights after an update, at this share of the budget."""
        if self.start is not None and progress >= self.start:
            self.count = self.count + 1
            self.mean = self.mean + (self.policy.theta - self.mean) / self.count

    @contextmanager
    def played(self) -> Iterator[None]:
        """Within it the policy has the mean weights, where there are any."""
        kept = self.policy.theta.clone()
        if self.count:
            self.policy.theta.copy_(self.mean)
        try:
            yield
        finally:
            self.policy.theta.copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """Tensors to checkpoint; none before the first update that counts."""
        return {AVERAGE: self.mean, f"{AVERAGE}_count": self.count} if self.count else {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors."""
        if AVERAGE in tensors:
            self.mean, self.count = tensors[AVERAGE].clone(), tensors[f"{AVERAGE}_count"].clone()
