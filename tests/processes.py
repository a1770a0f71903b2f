"""What processes that tests start have in common."""

import functools
import signal
from collections.abc import Callable


def hearing(number: int) -> Callable[[], object]:
    """As `preexec_fn` of a process: it hears a signal; whatever runs in the background ignores SIGINT."""
    return functools.partial(signal.signal, number, signal.SIG_DFL)
