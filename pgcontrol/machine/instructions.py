"""The processor's instructions that torch uses: rounding depends on them, and compiled code fits only them."""

import os
import platform
import re
import sys
import warnings
from pathlib import Path

PORTABLE = "PGCONTROL_PORTABLE"
# torch and its compiler use vectors of AVX2, and MKL the code that it keeps for such processors; 8 % slower in all
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"}


def limit() -> None:
    """With `PGCONTROL_PORTABLE=1` in the environment, let torch use the instructions of AVX2 and no wider ones.

    Call it before torch is imported. Other processes inherit the choice. Processors of different makers still differ
    (docs/reliability.md#other-machines).
    """
    if os.environ.get(PORTABLE, "0") == "0" or platform.machine() not in ("x86_64", "AMD64"):
        return
    if "torch" in sys.modules and any(os.environ.get(name) != value for name, value in AVX2.items()):
        warnings.warn(f"{PORTABLE} has no effect, because torch was imported before pgcontrol", stacklevel=3)
        return
    os.environ.update(AVX2)


def used() -> str:
    """The instructions that torch uses, such as `AVX512`, or `AVX2, portable`."""
    import torch  # imported here: `limit` comes before torch

    chosen = all(os.environ.get(name) == value for name, value in AVX2.items())
    return torch.backends.cpu.get_cpu_capability() + ", portable" * chosen


def features() -> str:
    """The processor's features, as the system lists them; processors with the same ones run the same compiled code."""
    try:
        listed = re.search(r"^(flags|Features)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        listed = None
    return listed[2] if listed else f"{platform.machine()} {platform.processor()}"
