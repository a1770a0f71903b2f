"""What the ranks of a run collected, put together as one process with all environments would have collected it."""

from typing import NamedTuple

import torch
from torch import Tensor

from pgcontrol.learning.breakdowns import Breakdown
from pgcontrol.machine.ranks import Ranks

# (t, env ids [n], true final observations [n, O]) of the episodes that ended with choice t
Finals = list[tuple[int, Tensor, Tensor]]


class FinishedEpisode(NamedTuple):
    """A finished episode.

    Attributes:
        total: undiscounted sum of the task's own reward.
        length: environment steps.
        route: by which of the task's routes it succeeded; −1: by none, or the task has none.
    """

    total: float
    length: int
    route: int = -1


class Events(NamedTuple):
    """What happened in some environments during a rollout.

    Attributes:
        finals: see `Finals`.
        episodes: those that ended, each with the choice it ended with, in order.
        measured: what the task measured, by name.
        breakdowns: steps after which a simulation could not go on.
    """

    finals: Finals
    episodes: list[tuple[int, FinishedEpisode]]
    measured: dict[str, list[float]]
    breakdowns: list[Breakdown]


def merged(ranks: Ranks, own: Events, first: int) -> Events:
    """The events of all ranks' environments; `first` is the number of this rank's first environment."""
    if ranks.size == 1:
        return own
    own = own._replace(finals=[(t, ids + first, final) for t, ids, final in own.finals])
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
        every.finals.append((t, ids, final))
    every.episodes.sort(key=lambda episode: episode[0])
    return every
