"""How long what is left of a sweep takes, and a duration in words."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from pgcontrol.sweep.sweep import Cell, Key


def wall(cells: Sequence[Cell], seconds: Mapping[Key, float], jobs: int) -> float:
    """Seconds until the last of the cells has ended, taken in their order, so many at a time."""
    free = [0.0] * jobs
    for cell in cells:
        heapq.heappush(free, heapq.heappop(free) + seconds.get(cell.key, 0.0))
    return max(free)


def lasting(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
