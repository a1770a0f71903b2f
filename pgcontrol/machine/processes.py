"""Child processes: how they are started and ended, and that none outlives its parent."""

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
    """The command that runs a module of ours, whatever lies in the current folder (-P)."""
    return [sys.executable, "-P", "-m", module]


def imports() -> dict[str, str]:
    """Of the environment of a child: it imports from where we import."""
    return {"PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path)}


def start(command: Sequence[str], env: dict[str, str], output: IO) -> Popen:
    """Start a process in a group of its own, so that it can be ended together with its children.

    `output` takes all that it says.

    It stays in our session: where the kernel shares CPU time by session, niceness counts only within one. A Ctrl-C
    in the terminal, which goes to the foreground group, does not reach it.
    """
    return Popen(command, env=env | imports(), stdin=DEVNULL, stdout=output, stderr=STDOUT, process_group=0)


def end(process: Popen) -> None:
    """Kill a process that `start` started, with all of its group, and collect it. Nothing to do if it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    process.wait()


def confine(seconds: float, niceness: int = 0) -> None:
    """Called first by a child: it dies with its parent, and after so many seconds whatever it hangs in.

    A default SIGALRM ends a process even inside a graphics driver that never returns, and needs no parent alive.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)


def last_line(text: str) -> str:
    """The last line with something on it, where Python and most programs say what went wrong."""
    return one_line("".join(text.rstrip().splitlines()[-1:]), 300)


def how_it_ended(returncode: int) -> str:
    """`exit code 3`, or the name of the signal that ended it."""
    names = {-number: number.name for number in signal.Signals}
    return names.get(returncode, f"exit code {returncode}")
