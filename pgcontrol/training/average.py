"""The mean of the weights over the last part of training, for evaluation and export."""

import copy

import torch
from torch import Tensor

from pgcontrol.policy import Policy
from pgcontrol.runs.load import AVERAGE


class Average:
    """The uniform mean of a policy's weights after each update (Polyak & Juditsky 1992; Izmailov et al. 2018).

    Training continues with the weights themselves. Checkpoints hold both, and `load` returns the mean.
    """

    def __init__(self, policy: Policy, start: float | None):
        """`start`: fraction of the budget after which weights are averaged; None: never."""
        self.policy, self.start = policy, start
        self.decoding: list[Tensor] = []  # the head's, with which the averaged weights were trained
        self.restart()

    def restart(self) -> None:
        """Forget the weights so far, because those that follow have another meaning."""
        self.mean = torch.zeros_like(self.policy.theta, dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.int64)

    def take(self, progress: float) -> None:
        """Add the weights after an update; `progress` is the fraction of the budget that is used.

        The mean begins again after a refit of the head's decoding.
        """
        if self.start is None or progress < self.start:
            return
        now = self.policy.head.decoding()
        if not self.decoding or not all(map(torch.equal, self.decoding, now)):
            self.restart()
            self.decoding = [buffer.clone() for buffer in now]
        self.count = self.count + 1
        self.mean = self.mean + (self.policy.theta - self.mean) / self.count

    def played(self) -> Policy:
        """A copy of the policy with the mean weights, or the policy itself if there are none yet."""
        if not self.count:
            return self.policy
        policy = copy.deepcopy(self.policy)
        policy.theta.copy_(self.mean)
        return policy

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint; empty before the first update that is averaged."""
        return {AVERAGE: self.mean, f"{AVERAGE}_count": self.count} if self.count else {}

    def load_state(self, tensors: dict[str, Tensor], progress: float) -> None:
        """Continue from a checkpoint's tensors.

        A resumed run may have another budget or another start. If its average has not begun, the old one is dropped.
        """
        if AVERAGE in tensors and self.start is not None and progress >= self.start:
            self.mean, self.count = tensors[AVERAGE].clone(), tensors[f"{AVERAGE}_count"].clone()
            self.decoding = [buffer.clone() for buffer in self.policy.head.decoding()]
