"""Policy gradients on MuJoCo, with the action head as the experiment.

>>> run = pgcontrol.train({"env": "HalfCheetah-v5", "head": "binned", "head.bins": 41})
>>> policy = pgcontrol.load(run.path)
>>> action = policy.predict(obs, deterministic=True)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcontrol.options import InputError
    from pgcontrol.policy import Policy
    from pgcontrol.runs.config import Config, configure
    from pgcontrol.runs.load import load
    from pgcontrol.training.clone import clone
    from pgcontrol.training.train import resume, train

__version__ = "0.1.0"
__all__ = ["Config", "InputError", "Policy", "clone", "configure", "load", "resume", "train"]

_HOMES = {
    "clone": "pgcontrol.training.clone",
    "Config": "pgcontrol.runs.config",
    "InputError": "pgcontrol.options",
    "Policy": "pgcontrol.policy",
    "configure": "pgcontrol.runs.config",
    "load": "pgcontrol.runs.load",
    "resume": "pgcontrol.training.train",
    "train": "pgcontrol.training.train",
}


def __getattr__(name: str) -> Any:
    # torch and mujoco take seconds to import; `pgcontrol --help` should not wait for them
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pgcontrol' has no attribute {name!r}")
