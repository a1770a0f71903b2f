"""Signals that ask a training to stop."""

import os
import signal
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import FrameType
from typing import Self

HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # a terminal that went away, where the platform says so
STOPPED = 130  # exit code of what a signal stopped, as shells have it
PARENT = "PGCONTROL_PARENT"  # environment variable: the id of a process without which its children are not to go on


class Interrupt(ExitStack):
    """Ctrl-C, SIGTERM and a hang-up ask the loop to stop after the update it is in; a second Ctrl-C stops at once.

    So does the end of the parent process, where `PARENT` names it: also a killed one leaves no worker behind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signal: int | None = None
        self._parent = os.environ.get(PARENT)

    def __bool__(self) -> bool:
        orphaned = self._parent is not None and self._parent != str(os.getppid())
        return orphaned or self.signal is not None

    def __enter__(self) -> Self:
        self.enter_context(_heard_by(self._note))
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


def like_ctrl_c() -> AbstractContextManager[None]:
    """Within it, SIGTERM and a hang-up raise KeyboardInterrupt, too."""
    return _heard_by(signal.default_int_handler)


@contextmanager
def _heard_by(handler: Callable[[int, FrameType | None], object]) -> Generator[None]:
    """Let a handler hear what asks to stop; a hang-up does not where `nohup` said so."""
    hangup = [number for number in HANGUP if signal.getsignal(number) is not signal.SIG_IGN]
    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, *hangup):
            with suppress(ValueError):  # not in the main thread: the caller's business
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
