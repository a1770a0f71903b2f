"""Policy gradients on MuJoCo, with the action head as the experiment.

>>> run = pgcontrol.train({"env": "HalfCheetah-v5", "head": "binned", "head.bins": 41})
>>> policy = pgcontrol.load(run.path)
>>> action = policy.predict(obs, deterministic=True)
>>> pgcontrol.evaluate(run.path, episodes=50).summary()

The functions have the names and settings of the commands (the command `eval` is `evaluate`), print nothing, and raise
InputError for invalid input.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pgcontrol.machine import instructions

if TYPE_CHECKING:
    from pgcontrol_envs.task import Task

    from pgcontrol.critics.base import Critic
    from pgcontrol.data.record import record
    from pgcontrol.data.tokenize import tokenize
    from pgcontrol.diagnosis.diagnose import diagnose
    from pgcontrol.exporting.export import export
    from pgcontrol.exporting.sim2sim import sim2sim
    from pgcontrol.heads.base import Head
    from pgcontrol.learning.advantages import Estimator
    from pgcontrol.learning.algorithms import Algorithm
    from pgcontrol.learning.rule import Rule
    from pgcontrol.loggers.base import Logger
    from pgcontrol.options import InputError, option
    from pgcontrol.policy import Policy
    from pgcontrol.rendering.clips import video
    from pgcontrol.reporting.compare import compare, report
    from pgcontrol.runs.breakdown import replay
    from pgcontrol.runs.catalog import use_plugin
    from pgcontrol.runs.config import Config, configure
    from pgcontrol.runs.evaluation import evaluate
    from pgcontrol.runs.load import load
    from pgcontrol.tokenizers.base import Tokenizer
    from pgcontrol.training.clone import clone
    from pgcontrol.training.resume import resume
    from pgcontrol.training.session import Run
    from pgcontrol.training.train import Trainer, train
    from pgcontrol.trunks.base import Trunk

instructions.limit()

__version__ = "0.1.0"
__all__ = [
    "Algorithm",
    "Config",
    "Critic",
    "Estimator",
    "Head",
    "InputError",
    "Logger",
    "Policy",
    "Rule",
    "Run",
    "Task",
    "Tokenizer",
    "Trainer",
    "Trunk",
    "clone",
    "compare",
    "configure",
    "diagnose",
    "evaluate",
    "export",
    "load",
    "option",
    "record",
    "replay",
    "report",
    "resume",
    "sim2sim",
    "tokenize",
    "train",
    "use_plugin",
    "video",
]

_HOMES = {
    "pgcontrol_envs.task": ("Task",),
    "pgcontrol.critics.base": ("Critic",),
    "pgcontrol.data.record": ("record",),
    "pgcontrol.data.tokenize": ("tokenize",),
    "pgcontrol.diagnosis.diagnose": ("diagnose",),
    "pgcontrol.exporting.export": ("export",),
    "pgcontrol.exporting.sim2sim": ("sim2sim",),
    "pgcontrol.heads.base": ("Head",),
    "pgcontrol.learning.advantages": ("Estimator",),
    "pgcontrol.learning.algorithms": ("Algorithm",),
    "pgcontrol.learning.rule": ("Rule",),
    "pgcontrol.loggers.base": ("Logger",),
    "pgcontrol.options": ("InputError", "option"),
    "pgcontrol.policy": ("Policy",),
    "pgcontrol.rendering.clips": ("video",),
    "pgcontrol.reporting.compare": ("compare", "report"),
    "pgcontrol.runs.breakdown": ("replay",),
    "pgcontrol.runs.catalog": ("use_plugin",),
    "pgcontrol.runs.config": ("Config", "configure"),
    "pgcontrol.runs.evaluation": ("evaluate",),
    "pgcontrol.runs.load": ("load",),
    "pgcontrol.tokenizers.base": ("Tokenizer",),
    "pgcontrol.training.clone": ("clone",),
    "pgcontrol.training.resume": ("resume",),
    "pgcontrol.training.train": ("Run", "Trainer", "train"),
    "pgcontrol.trunks.base": ("Trunk",),
}


def __getattr__(name: str) -> Any:
    # torch and mujoco take seconds to import; `pgcontrol --help` should not wait for them
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'pgcontrol' has no attribute {name!r}")
