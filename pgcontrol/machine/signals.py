"""Signals that ask a training to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
"""A terminal that went away, where the platform says so."""
STOPPED = 130
"""Exit code of what a signal stopped, as shells have it."""
PARENT = "PGCONTROL_PARENT"
"""Environment variable with the id of a process without which its children are not to go on."""


class Interrupt:
    """Ctrl-C, SIGTERM and a hang-up ask the loop to stop after the update it is in; a second Ctrl-C stops at once.

    So does the end of the parent process, where `PARENT` names it: also a killed one leaves no worker behind.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._parent = os.environ.get(PARENT)

    def __bool__(self) -> bool:
        orphaned = self._parent is not None and self._parent != str(os.getppid())
        return orphaned or self.signal is not None

    def __enter__(self) -> Interrupt:
        self._before = {}
        for number in _heard():
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread: the caller's business
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def like_ctrl_c() -> Generator[None]:
    """SIGTERM and a hang-up raise KeyboardInterrupt, too."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard() -> list[signal.Signals]:
    """What asks to stop; a hang-up does not where `nohup` said so."""
    hangup = [number for number in HANGUP if signal.getsignal(number) is not signal.SIG_IGN]
    return [signal.SIGINT, signal.SIGTERM, *hangup]
