"""When an update rule's step is worth compiling, and where the compiled code is kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SECONDS_TO_COMPILE = 20.0
"""What compiling a step costs the first time on two cores (10 to 25 s measured; 5 s from the cache)."""
SECONDS_SAVED = 0.8e-3
"""What a compiled gradient step saves over an eager one (0.9 to 1.0 ms measured, minibatch 64 to 256)."""


def decide(mode: str, gradient_steps: int) -> bool:
    """Whether a run should compile its step.

    `auto` compiles when the run is long enough to earn back what compiling costs cold, and a C++ compiler is there.
    What the cache holds plays no part: compiled and eager weights differ by rounding, and the same config must give
    the same weights.

    Args:
        mode: `--compile`: auto, on or off.
        gradient_steps: how many the run will make.
    """
    if mode != "auto":
        return mode == "on"
    return compiler() is not None and gradient_steps * SECONDS_SAVED > SECONDS_TO_COMPILE


def compiler() -> str | None:
    """The C++ compiler that torch would find, or None."""
    return next(
        (found for name in (os.environ.get("CXX"), "g++", "clang++") if name and (found := shutil.which(name))), None
    )


def prepare() -> None:
    """Point torch's compiler at the user's cache folder, where compiled code outlives a reboot."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "pgcontrol" / "inductor"))
