"""The available memory, and a check that refuses what would not fit."""

import bisect
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from pgcontrol.options import InputError

# control groups of version 2 and 1: limit and current use
GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available(root: Path = Path("/")) -> float:
    """Bytes that this process may still allocate, by the machine and its control group; infinite if unknown."""
    left = [math.inf]
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            left.append(1024 * int(line.split()[1]))
    for limit, taken in GROUPS:
        most, now = (_read(root / name.lstrip("/")).strip() for name in (limit, taken))
        if most.isdigit() and now.isdigit():
            left.append(max(0, int(most) - int(now)))
    return min(left)


def require(
    what: str, needed: Callable[[Mapping[str, int]], float], sizes: Mapping[str, int], room: float | None = None
) -> None:
    """Refuse what would not fit into memory; the message names the size that contributes most.

    Args:
        what: what is made, such as "a training".
        needed: bytes as a function of the sizes; increasing in each of them.
        sizes: name -> requested number, at least 1.
        room: bytes that are free; None: those of this process.

    Raises:
        InputError: names the size and the largest number that would fit.
    """
    room = available() if room is None else room
    if (wanted := needed(sizes)) <= room:
        return
    name = min(sizes, key=lambda name: needed({**sizes, name: 1}))
    fits = bisect.bisect_right(range(1, sizes[name] + 1), room, key=lambda n: needed({**sizes, name: n}))
    most = f"at most {fits} would fit" if fits else "other sizes must be smaller as well"
    short = f"{what} needs {wanted / 1e9:,.1f} GB of memory, but {room / 1e9:,.1f} GB are free"
    raise InputError(f"{name} = {sizes[name]}: {short}; {most}")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
