"""Processes that train one policy together (ranks), as torchrun starts them, and how tensors pass between them."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from pgcontrol.options import InputError

PATIENCE = timedelta(hours=2)  # rank 0 evaluates and renders meanwhile; a process that died is noticed at once
STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells each process


class RankLost(RuntimeError):
    """Another process of the run has ended."""


class Ranks:
    """W processes. Each has an equal part of the rows of what they share, in the order of their ranks.

    Every method but `rows` and `require_even` is collective: all ranks call it, in the same order. One process alone is
    the case W = 1, in which they give back what they are given.

    Attributes:
        rank: this process's number. Rank 0 alone writes and prints.
        size: W.
    """

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    def rows(self, count: int) -> slice:
        """This rank's part of `count` rows, a multiple of W."""
        part = count // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def require_even(self, name: str, count: int) -> None:
        """Refuse a setting that the ranks cannot share evenly.

        Raises:
            InputError: one line that names it and the nearest values that would do.
        """
        if count % self.size:
            less = count // self.size * self.size
            near = " or ".join(str(n) for n in (less, less + self.size) if n)
            raise InputError(f"{name} = {count}: {self.size} processes cannot share it evenly; {near} would do")

    def join(self, part: Tensor, dim: int = 0) -> Tensor:
        """The parts of all ranks, one after the other along a dimension."""
        if self.size == 1:
            return part
        sent = part.contiguous()
        if sent.dtype == torch.bool:  # gloo knows none
            return self.join(sent.view(torch.uint8), dim).view(torch.bool)
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        self._call(distributed.all_gather, parts, sent)
        return torch.cat(parts, dim)

    def objects(self, part: Any) -> list[Any]:
        """What each rank has, in order."""
        parts = [part] * self.size
        if self.size > 1:
            self._call(distributed.all_gather_object, parts, part)
        return parts

    def mean(self, x: Tensor) -> Tensor:
        """The mean over ranks; to the bit the same on all."""
        if self.size == 1:
            return x
        total = x.clone()
        self._call(distributed.all_reduce, total)
        return total / self.size

    def first(self, x: Any) -> Any:
        """What rank 0 has."""
        said = [x]
        if self.size > 1:
            self._call(distributed.broadcast_object_list, said)
        return said[0]

    def agree(self, tensors: list[Tensor]) -> None:
        """Give the tensors the values that they have on rank 0, in place."""
        for tensor in tensors if self.size > 1 else ():
            self._call(distributed.broadcast, tensor, 0)

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except RuntimeError as error:  # gloo and nccl raise no narrower one
            raise RankLost(f"another of the {self.size} processes of this run has ended") from error


ALONE = Ranks()
_store: Any = None


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and all(name in os.environ for name in STARTED)


def meet() -> Ranks:
    """The ranks that torchrun has started, this one among them; without it, one process alone.

    Processes that this one starts later do not count as ranks.
    """
    if distributed.is_initialized():
        return Ranks(distributed.get_rank(), distributed.get_world_size())
    if not started():
        return ALONE
    store, rank, size = _meeting_place()
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
    for name in STARTED:
        os.environ.pop(name)
    return Ranks(rank, size)


def speaks() -> bool:
    """Whether this process is the first of the ranks to say why the run ends: one line is enough."""
    if _store is None and not started():
        return True
    store = _store or _meeting_place()[0]
    try:
        return store.add("pgcontrol/said", 1) == 1
    except RuntimeError:  # the place is gone, and with it whoever could have said it
        return True


def _meeting_place() -> tuple[Any, int, int]:
    global _store
    _store, rank, size = next(rendezvous("env://"))
    return _store, rank, size
