"""Helpers for processes that tests start."""

import functools
import signal
from collections.abc import Callable


def hearing(number: int) -> Callable[[], object]:
    """As `preexec_fn` of a process: it hears a signal; whatever runs in the background ignores SIGINT."""
    return functools.partial(signal.signal, number, signal.SIG_DFL)
