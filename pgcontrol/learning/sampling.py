"""Sampling schemes: they decide which environments start a new episode, when, and from which state."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pgcontrol.options import InputError, NoOptions, option


class Plan(NamedTuple):
    """Resets and copies of environments before the next choice; the resets come first.

    Attributes:
        reset: ids of the environments that start a new episode.
        source: ids of the environments whose states are copied.
        target: ids of the environments that receive them, in the same order.
    """

    reset: Tensor
    source: Tensor
    target: Tensor


class Sampling:
    """Decides which environments start a new episode. After its episode, an environment waits until then.

    In this base class, every environment starts a new episode as soon as one ends.
    """

    Options: ClassVar[type] = NoOptions
    copies = False  # whether the environments must support copying their state
    asynchronous = False  # whether worker processes collect rollouts and update shared weights independently

    def __init__(self, options: Any, num_envs: int):
        self.options, self.num_envs = options, num_envs

    @classmethod
    def check(cls, options: Any, num_envs: int) -> None:
        """Refuse options that do not fit N environments.

        Raises:
            InputError: one line with the option.
        """

    @classmethod
    def processes(cls, options: Any) -> int:
        """The number of processes that hold environments, a policy and rollouts."""
        return 1

    def plan(self, over: Tensor, start: bool) -> Plan:
        """The resets and copies to make now.

        Args:
            over: [N] bool, environments whose episode is over.
            start: whether a rollout starts here.
        """
        none = over.new_empty(0, dtype=torch.int64)
        return Plan(over.nonzero().squeeze(1), none, none)

    def counted(self) -> Tensor:
        """[N] bool: environments with complete episodes that are not selected by their return."""
        return torch.ones(self.num_envs, dtype=torch.bool)


class Asynchronous(Sampling):
    """Worker processes, each with its own environments and its own copy of the policy; they share the weights.

    The order of the workers' updates depends on the machine, so runs are not reproducible bit for bit.
    """

    asynchronous = True

    @dataclass(frozen=True)
    class Options:
        workers: int = option(2, "worker processes, each with num_envs environments", least=1, most=64)

    @classmethod
    def processes(cls, options: Any) -> int:
        return options.workers


class Groups(Sampling):
    """Groups of environments that start from the same state; they differ only by their choices.

    Environments i·G … i·G + G − 1 are a group; the first one is the leader. At the start of a rollout, all members get
    the state of their leader, which may be in the middle of its episode. So groups start at states that the policy
    visits, not only at initial states. A member whose episode ends waits until the rollout ends or the episodes of all
    members have ended. In the latter case the leader starts a new episode, and the group its next comparison. Only the
    leaders' episodes count as returns, because whether a member's episode is cut depends on how it ends.
    """

    copies = True

    @dataclass(frozen=True)
    class Options:
        group_size: int = option(8, "G: environments that start from the same state", least=2, most=65_536)

    @classmethod
    def check(cls, options: Any, num_envs: int) -> None:
        if num_envs % options.group_size:
            raise InputError(f"algorithm.group_size = {options.group_size}: must divide num_envs = {num_envs}")

    def __init__(self, options: Any, num_envs: int):
        super().__init__(options, num_envs)
        self.ids = torch.arange(num_envs).view(-1, options.group_size)

    def plan(self, over: Tensor, start: bool) -> Plan:
        """Copy the leader's state to its group: at the start for all groups, later for groups with no active member."""
        leaders = self.ids[:, 0]
        gather = torch.ones_like(leaders, dtype=torch.bool) if start else over[self.ids].all(1)
        members = self.ids[gather, 1:]
        source = leaders[gather].unsqueeze(1).expand_as(members)
        return Plan(leaders[gather & over[leaders]], source.flatten(), members.flatten())

    def counted(self) -> Tensor:
        return torch.arange(self.num_envs) % self.options.group_size == 0
