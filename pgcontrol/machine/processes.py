"""Starts and ends child processes, and makes sure that none outlives its parent."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from subprocess import DEVNULL, STDOUT, Popen
from typing import IO

from pgcontrol.text import one_line

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def python(module: str) -> list[str]:
    """The command that runs one of our modules, independently of the current folder (-P)."""
    return [sys.executable, "-P", "-m", module]


def imports() -> dict[str, str]:
    """Environment variables with which a child imports from the same places as this process."""
    return {"PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path)}


def start(command: Sequence[str], env: dict[str, str], output: IO) -> Popen:
    """Start a process in its own process group, so that it can be ended together with its children.

    `output` receives everything that it prints.

    It stays in our session: if the kernel shares CPU time by session, niceness only matters within one. A Ctrl-C in the
    terminal goes to the foreground group and does not reach it.
    """
    return Popen(command, env=env | imports(), stdin=DEVNULL, stdout=output, stderr=STDOUT, process_group=0)


def end(process: Popen) -> None:
    """Kill a process from `start` with its whole group, and wait for it. Does nothing if it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    process.wait()


def confine(seconds: float, niceness: int = 0) -> None:
    """Called first in a child: it ends with its parent, and after a time limit even if it hangs.

    A default SIGALRM ends a process even inside a graphics driver that never returns, also without a parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)


def last_line(text: str) -> str:
    """The last line that is not empty: Python and most programs report the error there."""
    return one_line("".join(text.rstrip().splitlines()[-1:]), 300)


def how_it_ended(returncode: int) -> str:
    """`exit code 3`, or the name of the signal that ended it."""
    names = {-number: number.name for number in signal.Signals}
    return names.get(returncode, f"exit code {returncode}")
