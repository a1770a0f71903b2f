"""Ranks: processes that train one policy together, started by torchrun, and the exchange of tensors between them."""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from pgcontrol.options import InputError

PATIENCE = timedelta(hours=2)  # others wait while rank 0 evaluates and renders; a dead process is noticed immediately
STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # environment variables that torchrun sets
LOCAL = "LOCAL_RANK"  # another one


class RankLost(RuntimeError):
    """Another process of the run has ended."""


class Ranks:
    """W processes. Each has an equal part of the rows of shared data, in the order of the ranks.

    All methods except `rows` and `require_even` are collective: all ranks call them in the same order. A single process
    is the case W = 1, in which these methods return their arguments.

    Attributes:
        rank: number of this process. Only rank 0 writes and prints.
        size: W.
        local: number of this process among those on its machine, each of which has a GPU of its own.
    """

    def __init__(self, rank: int = 0, size: int = 1, local: int = 0):
        self.rank, self.size, self.local = rank, size, local

    def rows(self, count: int) -> slice:
        """This rank's part of `count` rows, a multiple of W."""
        part = count // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def require_even(self, name: str, count: int) -> None:
        """Check that the ranks can share `count` evenly.

        Raises:
            InputError: they cannot; names the setting and the nearest valid values.
        """
        if count % self.size:
            less = count // self.size * self.size
            near = " or ".join(str(n) for n in (less, less + self.size) if n)
            raise InputError(f"{name} = {count}: must be a multiple of the {self.size} processes, such as {near}")

    def join(self, part: Tensor, dim: int = 0) -> Tensor:
        """Concatenate the parts of all ranks along a dimension."""
        if self.size == 1:
            return part
        sent = part.contiguous()
        if sent.dtype == torch.bool:  # gloo does not support bool
            return self.join(sent.view(torch.uint8), dim).view(torch.bool)
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        self._call(distributed.all_gather, parts, sent)
        return torch.cat(parts, dim)

    def objects(self, part: Any) -> list[Any]:
        """The objects of all ranks, in order."""
        parts = [part] * self.size
        if self.size > 1:
            self._call(distributed.all_gather_object, parts, part)
        return parts

    def mean(self, x: Tensor) -> Tensor:
        """The mean over ranks; bitwise equal on all."""
        if self.size == 1:
            return x
        total = x.clone()
        self._call(distributed.all_reduce, total)
        return total / self.size

    def first(self, x: Any) -> Any:
        """The object of rank 0."""
        objects = [x]
        if self.size > 1:
            self._call(distributed.broadcast_object_list, objects)
        return objects[0]

    def agree(self, tensors: list[Tensor]) -> None:
        """Copy the values of the tensors from rank 0, in place."""
        for tensor in tensors if self.size > 1 else ():
            self._call(distributed.broadcast, tensor, 0)

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except RuntimeError as error:  # gloo and nccl raise no more specific error
            global _lost
            _lost = True
            raise RankLost(f"another of the {self.size} processes of this run has ended") from error


ALONE = Ranks()
_store: Any = None
_lost = False  # whether this process has noticed that another rank has ended


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and all(name in os.environ for name in STARTED)


def meet() -> Ranks:
    """Join the ranks that torchrun has started; without torchrun, `ALONE`.

    Processes that this one starts later are not ranks.
    """
    local = int(os.environ.get(LOCAL, "0"))
    if distributed.is_initialized():
        return Ranks(distributed.get_rank(), distributed.get_world_size(), local)
    if not started():
        return ALONE
    store, rank, size = _meeting_place()
    distributed.init_process_group(_backends(), store=store, rank=rank, world_size=size, timeout=PATIENCE)
    atexit.register(_part)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    for name in STARTED:
        os.environ.pop(name)
    return Ranks(rank, size, local)


def _backends() -> str:
    """gloo exchanges tensors of the CPU, and nccl those of GPUs."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"


def _terminate(*_: object) -> None:
    """Stop like Ctrl-C. When one rank has ended, torchrun sends SIGTERM to the others, which first report it."""
    if not _lost:
        raise KeyboardInterrupt


def _part() -> None:
    """Stop gloo's threads before the interpreter ends: one that still runs then aborts the process."""
    with suppress(RuntimeError):  # the other processes have ended
        distributed.destroy_process_group()


def speaks() -> bool:
    """Whether this process is the first rank that reports why the run ends, so that only one line is printed."""
    if _store is None and not started():
        return True
    store = _store or _meeting_place()[0]
    try:
        return store.add("pgcontrol/said", 1) == 1
    except RuntimeError:  # the store is gone, so no other rank can report it
        return True


def _meeting_place() -> tuple[Any, int, int]:
    global _store
    _store, rank, size = next(rendezvous("env://"))
    return _store, rank, size
