"""Signals that ask a training to stop."""

import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import FrameType
from typing import Self

HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # a terminal that went away, where the platform says so
# what batch systems send before a job's time is up
NOTICE = [signal.SIGUSR2] if hasattr(signal, "SIGUSR2") else []
STOPPED = 130  # exit code of what a signal stopped, as shells have it
PARENT = "PGCONTROL_PARENT"  # environment variable: the id of a process without which its children are not to go on


class Interrupt(ExitStack):
    """Ctrl-C, SIGTERM and a hang-up ask the loop to stop after the update it is in; a second Ctrl-C stops at once.

    So does the end of the parent process, where `PARENT` names it: also a killed one leaves no worker behind. Then a
    batch system's notice counts, too; otherwise it is the business of the program around.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signal: int | None = None
        self._parent = os.environ.get(PARENT)

    def __bool__(self) -> bool:
        orphaned = self._parent is not None and self._parent != str(os.getppid())
        return orphaned or self.signal is not None

    def __enter__(self) -> Self:
        self.enter_context(_heard_by(self._note, NOTICE if self._parent else ()))
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


def like_ctrl_c() -> AbstractContextManager[None]:
    """Within it, SIGTERM and a hang-up raise KeyboardInterrupt, too."""
    return _heard_by(signal.default_int_handler)


@contextmanager
def _heard_by(handler: Callable[[int, FrameType | None], object], more: Sequence[int] = ()) -> Generator[None]:
    """Let a handler hear what asks to stop.

    A hang-up stays unheard where `nohup` said so, and every signal that a program around Python hears by itself: its
    handler could not be put back.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, *HANGUP, *more)}
    ours = {}
    try:
        for number, former in before.items():
            if former is not None and not (number in HANGUP and former is signal.SIG_IGN):
                with suppress(ValueError):  # not in the main thread: the caller's business
                    signal.signal(number, handler)
                    ours[number] = former
        yield
    finally:
        for number, former in ours.items():
            signal.signal(number, former)
