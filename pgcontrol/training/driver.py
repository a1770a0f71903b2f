"""Drivers compute the updates of a learner: the learner itself, rank 0 with other ranks, or asynchronous workers."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pgcontrol.machine.ranks import RankLost
from pgcontrol.machine.signals import Interrupt
from pgcontrol.machine.threads import one_thread
from pgcontrol.training.asynchronous import Workers
from pgcontrol.training.learner import Learner


class Driver(Protocol):
    """Interface for computing the updates of a learner. A Learner is a driver as well."""

    def update(self) -> dict[str, float]:
        """See `Learner.update`."""
        ...

    def widen(self, std: float) -> None:
        """See `Learner.widen`."""

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""

    def close(self) -> None:
        """See `Learner.close`."""


class Leader:
    """The driver of rank 0: all ranks make each call. The other ranks run `follow`."""

    def __init__(self, learner: Learner):
        self.learner = learner
        self._open = True

    def update(self) -> dict[str, float]:
        """See `Learner.update`."""
        return self._together("update")

    def widen(self, std: float) -> None:
        """See `Learner.widen`."""
        self._together("widen", std)

    def save(self, folder: Path) -> None:
        """See `Learner.save`. There is one checkpoint, and any number of ranks can resume from it."""
        self._together("save", folder)

    def close(self) -> None:
        """End all ranks."""
        if self._open:
            self._open = False
            with suppress(RankLost):  # then the run is ending already
                self.learner.ranks.first(("close", ()))
            self.learner.close()

    def _together(self, name: str, *args: Any) -> Any:
        self.learner.ranks.first((name, args))
        return getattr(self.learner, name)(*args)


def follow(learner: Learner) -> str:
    """The loop of all ranks except 0: make the same calls as rank 0 until it ends the run. Returns the run's status.

    Only rank 0 handles signals.
    """
    with one_thread(), Interrupt(learner.ranks.size > 1):
        while True:
            name, args = learner.ranks.first(None)
            getattr(learner, name)(*args)
            if name == "close":
                return "finished" if learner.progress >= 1 else "stopped"


def driver(learner: Learner) -> Driver:
    if learner.asynchronous:
        return Workers(learner)
    return Leader(learner) if learner.ranks.size > 1 else learner
