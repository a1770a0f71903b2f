"""What makes the updates of a learner: itself, rank 0 together with the other ranks, or asynchronous workers."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pgcontrol.machine.ranks import RankLost
from pgcontrol.machine.signals import Interrupt
from pgcontrol.machine.threads import one_thread
from pgcontrol.training.asynchronous import Workers
from pgcontrol.training.learner import Learner


class Driver(Protocol):
    """Makes, saves and ends the updates of a learner; a Learner is one."""

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
    """Rank 0: has all ranks make each call, itself included. The others are in `follow`."""

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
        """See `Learner.save`; one checkpoint, from which any number of ranks can go on."""
        self._together("save", folder)

    def close(self) -> None:
        """End all ranks."""
        if self._open:
            self._open = False
            with suppress(RankLost):  # the run ends for that reason
                self.learner.ranks.first(("close", ()))
            self.learner.close()

    def _together(self, name: str, *args: Any) -> Any:
        self.learner.ranks.first((name, args))
        return getattr(self.learner, name)(*args)


def follow(learner: Learner) -> str:
    """What every rank but 0 does: the calls that rank 0 makes, until it ends the run. Returns the run's status.

    Signals are rank 0's to answer.
    """
    with one_thread(), Interrupt(learner.ranks.size > 1):
        while True:
            name, args = learner.ranks.first(None)
            getattr(learner, name)(*args)
            if name == "close":
                return "finished" if learner.progress >= 1 else "stopped"


def driver(learner: Learner) -> Driver:
    """The driver of a learner."""
    if learner.asynchronous:
        return Workers(learner)
    return Leader(learner) if learner.ranks.size > 1 else learner
