"""Signals that ask a training to stop."""

from __future__ import annotations

import signal
from types import FrameType

HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
"""A terminal that went away, where the platform says so."""


class Interrupt:
    """Ctrl-C, SIGTERM and a hang-up ask the loop to stop after the update it is in; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Interrupt:
        self._before = {}
        for number in (signal.SIGINT, signal.SIGTERM, *HANGUP):
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
