"""The number of processors that this process may use."""

import math
import os
from pathlib import Path


def usable_cpus() -> int:
    """Number of processors this process may use: its affinity, limited by its control group's quota (rounded up)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return cpus if quota == "max" else max(1, min(cpus, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cpus


def busy() -> str:
    """` (the machine is busy: load 20 on 2 cores)` if other processes want more cores than it has, else empty."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    return f" (the machine is busy: load {load:.0f} on {cores} cores)" if load > 1.5 * cores else ""
