"""When an update rule's step is worth compiling, and where the compiled code is kept."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from pgcontrol.runs.config import Config, nested

COLD_SECONDS = 25.0
"""What compiling a step costs the first time on two cores (10 to 25 s measured)."""
WARM_SECONDS = 5.0
"""What loading compiled code from the cache costs."""
SAVED_SECONDS = 0.8e-3
"""What a compiled gradient step saves over an eager one (0.9 to 1.0 ms measured, minibatch 64 to 256)."""


def decide(config: Config, gradient_steps: int) -> bool:
    """Whether a run should compile its step.

    `--compile auto` compiles when the run is long enough to earn back what compiling costs, which is little once the
    same step has been compiled before.
    """
    if config.compile != "auto":
        return config.compile == "on"
    cost = WARM_SECONDS if _marker(config).exists() else COLD_SECONDS
    return gradient_steps * SAVED_SECONDS > cost


def prepare() -> None:
    """Point torch's compiler at the user's cache folder, where compiled code outlives a reboot."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache() / "inductor"))


def note(config: Config) -> None:
    """Remember that this step is in the cache now."""
    marker = _marker(config)
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgcontrol"


def _marker(config: Config) -> Path:
    """One file for everything that the compiled code depends on; the seed or the budget do not change it."""
    shape: dict[str, Any] = {
        k: v for k, v in nested(config).items() if k in ("env", "hidden", "head", "algorithm", "critic")
    }
    described = json.dumps([shape, torch.__version__, platform.processor(), torch.backends.cpu.get_cpu_capability()])
    return _cache() / "steps" / hashlib.sha256(described.encode()).hexdigest()[:16]
