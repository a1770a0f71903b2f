"""A file or folder for one process at a time; a lock ends with the process that holds it, however that ends."""

import os
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pgcontrol.options import InputError


@contextmanager
def alone(path: Path, refusal: str) -> Generator[int]:
    """Keep an existing file or folder to this process, and to children that are given the open file, which is yielded.

    Raises:
        InputError: another process has it; the line is `refusal`.
    """
    # over NFS, only a file that is open for writing can be locked
    mode = os.O_RDWR if path.is_file() and os.access(path, os.W_OK) else os.O_RDONLY
    fd = os.open(path, mode | getattr(os, "O_NONBLOCK", 0))  # a pipe would be waited for
    try:
        try:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(refusal) from None
        except (ImportError, OSError):  # a platform, or a filesystem, without locks keeps nobody out
            pass
        yield fd
    finally:
        os.close(fd)


def taken(path: Path) -> bool:
    """Whether a process has it to itself now."""
    try:
        with alone(path, "taken"):
            return False
    except InputError:
        return True
    except OSError:  # nothing there to take
        return False


@contextmanager
def waiting(path: Path) -> Generator[None]:
    """Keep an existing file to this process and thread, once the others have let go of it."""
    while True:
        with ExitStack() as held:
            try:
                held.enter_context(alone(path, "taken"))
            except InputError:
                time.sleep(0.01)
                continue
            yield
            return
