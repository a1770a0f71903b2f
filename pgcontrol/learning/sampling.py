"""Sampling schemes: which environments begin anew, when, and from whose state."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pgcontrol.options import InputError, NoOptions, option


class Plan(NamedTuple):
    """What is to happen to the environments before the next choice: first the resets, then the copies.

    Attributes:
        reset: ids of those that start a new episode.
        source: ids of those whose state is copied ...
        target: ... into these, pair by pair.
    """

    reset: Tensor
    source: Tensor
    target: Tensor


class Sampling:
    """Says which environments start anew. An environment whose episode is over stands still until it does.

    As it is, every environment is on its own: a new episode as soon as one ends.
    """

    Options: ClassVar[type] = NoOptions
    copies = False  # whether environments must be able to copy their state
    asynchronous = False  # whether worker processes collect and step on their own, on weights that all share

    def __init__(self, options: Any, num_envs: int):
        self.options, self.num_envs = options, num_envs

    @classmethod
    def check(cls, options: Any, num_envs: int) -> None:
        """Refuse options that do not fit N environments.

        Raises:
            InputError: one line that names the option.
        """

    @classmethod
    def processes(cls, options: Any) -> int:
        """How many processes hold environments, a policy and rollouts."""
        return 1

    def plan(self, over: Tensor, start: bool) -> Plan:
        """What to do with the environments.

        Args:
            over: [N] bool, those whose episode is over.
            start: whether this is the beginning of a rollout.
        """
        none = over.new_empty(0, dtype=torch.int64)
        return Plan(over.nonzero().squeeze(1), none, none)

    def counted(self) -> Tensor:
        """[N] bool: environments whose episodes are whole and chosen without regard to their return."""
        return torch.ones(self.num_envs, dtype=torch.bool)


class Asynchronous(Sampling):
    """Worker processes, each with environments and a copy of the policy of its own, on weights that all share.

    Asynchronous: which worker's step comes first is the machine's to say, so a run cannot be repeated to the bit.
    """

    asynchronous = True

    @dataclass(frozen=True)
    class Options:
        """How many."""

        workers: int = option(2, "worker processes, each with num_envs environments", least=1, most=64)

    @classmethod
    def processes(cls, options: Any) -> int:
        """The workers."""
        return options.workers


class Groups(Sampling):
    """Groups of environments that start from one identical state and diverge by their choices alone.

    Environments i·G … i·G + G − 1 are a group, the first its leader. A rollout begins with every member in its leader's
    state, wherever the leader is in its episode: so groups start at states the policy visits, not at episodes' first
    states only. A member whose episode ends stands still until the rollout or the whole group is over; in the latter
    case the leader starts a new episode and the group its next comparison. Only the leaders' episodes are counted as
    returns: a member's are cut off or kept by how they end.
    """

    copies = True

    @dataclass(frozen=True)
    class Options:
        """The group's size."""

        group_size: int = option(8, "G: environments that start from the same state", least=2, most=65_536)

    @classmethod
    def check(cls, options: Any, num_envs: int) -> None:
        """N must be a multiple of G."""
        if num_envs % options.group_size:
            raise InputError(f"algorithm.group_size = {options.group_size}: must divide num_envs = {num_envs}")

    def __init__(self, options: Any, num_envs: int):
        super().__init__(options, num_envs)
        self.ids = torch.arange(num_envs).view(-1, options.group_size)

    def plan(self, over: Tensor, start: bool) -> Plan:
        """At a start, all groups gather at their leaders; later, those of whom nobody plays any more."""
        leaders = self.ids[:, 0]
        gather = torch.ones_like(leaders, dtype=torch.bool) if start else over[self.ids].all(1)
        members = self.ids[gather, 1:]
        source = leaders[gather].unsqueeze(1).expand_as(members)
        return Plan(leaders[gather & over[leaders]], source.flatten(), members.flatten())

    def counted(self) -> Tensor:
        """The leaders."""
        return torch.arange(self.num_envs) % self.options.group_size == 0
