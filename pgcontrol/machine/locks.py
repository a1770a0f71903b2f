"""Locks on files and folders for one process at a time; a lock ends with its process, even if that is killed."""

import os
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pgcontrol.options import InputError


@contextmanager
def alone(path: Path, refusal: str) -> Generator[int]:
    """Lock an existing file or folder for this process and for children that inherit the yielded file descriptor.

    Raises:
        InputError: another process has locked it; the message is `refusal`.
    """
    # over NFS, a file can only be locked if it is open for writing
    mode = os.O_RDWR if path.is_file() and os.access(path, os.W_OK) else os.O_RDONLY
    fd = os.open(path, mode | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would block
    try:
        try:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(refusal) from None
        except (ImportError, OSError):  # no locks on this platform or filesystem
            pass
        yield fd
    finally:
        os.close(fd)


def taken(path: Path) -> bool:
    """Whether a process has locked a file or folder."""
    try:
        with alone(path, "taken"):
            return False
    except InputError:
        return True
    except OSError:  # it does not exist
        return False


@contextmanager
def waiting(path: Path) -> Generator[None]:
    """Lock an existing file for this process and thread, after waiting for other locks to end."""
    while True:
        with ExitStack() as held:
            try:
                held.enter_context(alone(path, "taken"))
            except InputError:
                time.sleep(0.01)
                continue
            yield
            return
