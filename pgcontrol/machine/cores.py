"""The number of processors that this process may use, their kind, and how busy they are."""

import math
import os
import platform
import re
from pathlib import Path
from typing import Any


def usable_cpus() -> int:
    """Number of processors this process may use: its affinity, limited by its control group's quota (rounded up)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return cpus if quota == "max" else max(1, min(cpus, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cpus


def machine() -> dict[str, Any]:
    """The kind of this machine: the model of its `cpu`, and its number of `cores`."""
    try:
        model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        model = None
    return {"cpu": model[1] if model else platform.processor() or platform.machine(), "cores": os.cpu_count()}


def load() -> list[float]:
    """The load averages of this machine over 1, 5 and 15 minutes; empty if it has none."""
    return [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []


def busy() -> str:
    """` (the machine is busy: load 20 on 2 cores)` if other processes want more cores than it has, else empty."""
    latest, cores = (load() or [0.0])[0], os.cpu_count() or 1
    return f" (the machine is busy: load {latest:.0f} on {cores} cores)" if latest > 1.5 * cores else ""
