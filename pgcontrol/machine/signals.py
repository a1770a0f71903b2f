"""Signals that ask a training to stop."""

import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import FrameType
from typing import Self

HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # the terminal was closed; not on all platforms
# sent by batch systems before a job's time limit
NOTICE = [signal.SIGUSR2] if hasattr(signal, "SIGUSR2") else []
STOPPED = 130  # exit code after a stop by a signal, as in shells
ECHO = 2.0  # seconds within which a launcher passes on a signal
PARENT = "PGCONTROL_PARENT"  # environment variable: the id of a process; its children stop when it ends


class Interrupt(ExitStack):
    """Ctrl-C, SIGTERM and a hang-up ask the loop to stop after the current update; a second Ctrl-C stops immediately.

    If `PARENT` is set, the end of the parent process has the same effect, so a killed parent leaves no workers, and so
    has a batch system's notice. Without a parent, the notice is left to the calling program.
    """

    def __init__(self, echoed: bool = False) -> None:
        """`echoed`: a launcher also passes on the terminal's Ctrl-C; the two signals count as one."""
        super().__init__()
        self.signal: int | None = None
        self._echo, self._heard = ECHO if echoed else 0.0, 0.0
        self._parent = os.environ.get(PARENT)

    def __bool__(self) -> bool:
        orphaned = self._parent is not None and self._parent != str(os.getppid())
        return orphaned or self.signal is not None

    def __enter__(self) -> Self:
        self.enter_context(_heard_by(self._note, NOTICE if self._parent else ()))
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is not None and number == signal.SIGINT and now - self._heard >= self._echo:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal, self._heard = number, now


def like_ctrl_c() -> AbstractContextManager[None]:
    """A context in which SIGTERM and a hang-up also raise KeyboardInterrupt.

    After the first signal only a Ctrl-C does so again: `timeout` sends two, and the second must not stop the clean-up.
    """
    stopping = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopping
        if not stopping or number == signal.SIGINT:
            stopping = True
            raise KeyboardInterrupt

    return _heard_by(stop)


@contextmanager
def _heard_by(handler: Callable[[int, FrameType | None], object], more: Sequence[int] = ()) -> Generator[None]:
    """Install a handler for all signals that ask to stop, and for `more`.

    Exceptions: a hang-up that `nohup` ignores, and signals whose handler was not set by Python, because it could not
    be restored.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, *HANGUP, *more)}
    ours = {}
    try:
        for number, former in before.items():
            if former is not None and not (number in HANGUP and former is signal.SIG_IGN):
                with suppress(ValueError):  # not in the main thread: the caller must handle signals
                    signal.signal(number, handler)
                    ours[number] = former
        yield
    finally:
        for number, former in ours.items():
            signal.signal(number, former)
