"""How much memory there is, and the refusal of what would not fit into it."""

import bisect
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from pgcontrol.options import InputError

# control groups of version 2 and 1: what they may take, and what they have taken
GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available(root: Path = Path("/")) -> float:
    """Bytes that this process may still take: by the machine and by its control group; infinite where neither says."""
    left = [math.inf]
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            left.append(1024 * int(line.split()[1]))
    for limit, taken in GROUPS:
        most, now = (_read(root / name.lstrip("/")).strip() for name in (limit, taken))
        if most.isdigit() and now.isdigit():
            left.append(max(0, int(most) - int(now)))
    return min(left)


def require(what: str, needed: Callable[[Mapping[str, int]], float], sizes: Mapping[str, int]) -> None:
    """Refuse what would not fit into memory, by the size that takes most of it.

    Args:
        what: is made, such as "a training".
        needed: bytes by sizes; it falls with each of them.
        sizes: name -> what was asked for, at least 1.

    Raises:
        InputError: names the size and the largest number that would fit.
    """
    room = available()
    if (wanted := needed(sizes)) <= room:
        return
    name = min(sizes, key=lambda name: needed({**sizes, name: 1}))
    fits = bisect.bisect_right(range(1, sizes[name] + 1), room, key=lambda n: needed({**sizes, name: n}))
    most = f"at most {fits} would fit" if fits else "other sizes must be smaller, too"
    short = f"{what} takes {wanted / 1e9:,.1f} GB of memory, and {room / 1e9:,.1f} GB are free"
    raise InputError(f"{name} = {sizes[name]}: {short}; {most}")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
