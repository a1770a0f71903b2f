"""Merge what the ranks of a run collected, so that the result is that of one process with all environments."""

from typing import NamedTuple

import torch
from torch import Tensor

from pgcontrol.learning.breakdowns import Breakdown
from pgcontrol.machine.ranks import Ranks

# (t, env ids [n], final observations [n, O]) of the episodes that ended with choice t
Finals = list[tuple[int, Tensor, Tensor]]


class FinishedEpisode(NamedTuple):
    """A finished episode.

    Attributes:
        total: undiscounted and unscaled sum of rewards.
        length: environment steps.
        route: index of the task's route by which it succeeded; −1: no success, or the task has no routes.
    """

    total: float
    length: int
    route: int = -1


class Events(NamedTuple):
    """Events in some environments during a rollout.

    Attributes:
        finals: see `Finals`.
        episodes: (index of the last choice, episode) of the episodes that ended, in order.
        measured: the task's metrics, by name.
        breakdowns: steps that broke a simulation.
    """

    finals: Finals
    episodes: list[tuple[int, FinishedEpisode]]
    measured: dict[str, list[float]]
    breakdowns: list[Breakdown]


def merged(ranks: Ranks, own: Events, first: int, device: torch.device) -> Events:
    """The events of all ranks' environments, on this rank's device. `first` is the index of its first environment."""
    if ranks.size == 1:
        return own
    # between ranks, they are tensors of the CPU: another rank has another device
    own = own._replace(finals=[(t, (ids + first).cpu(), final.cpu()) for t, ids, final in own.finals])
    ended: dict[int, list[tuple[Tensor, Tensor]]] = {}
    every = Events([], [], {}, [])
    for part in ranks.objects(own):
        for t, ids, final in part.finals:
            ended.setdefault(t, []).append((ids, final))
        for name, values in part.measured.items():
            every.measured.setdefault(name, []).extend(values)
        every.episodes.extend(part.episodes)
        every.breakdowns.extend(part.breakdowns)
    for t in sorted(ended):
        ids, final = map(torch.cat, zip(*ended[t], strict=True))
        every.finals.append((t, ids.to(device), final.to(device)))
    every.episodes.sort(key=lambda episode: episode[0])
    return every
