"""Loads environments of dm_control's own suite with the installed MuJoCo version."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import os
import warnings
from typing import Any
from unittest import mock

import mujoco
import numpy as np


def load(env_id: str, seed: int) -> Any:
    """dm_control's own environment for one of our ids."""
    domain, task = env_id.removeprefix("dm:").split("-")
    return _suite().load(domain, task, task_kwargs={"random": seed})


def benchmarking() -> list[str]:
    """Our ids of dm_control's benchmarking tasks."""
    return [f"dm:{domain}-{task}" for domain, task in _suite().BENCHMARKING]


def flat(observation: dict[str, Any]) -> np.ndarray:
    """An observation as one array, with its parts in dm_control's order."""
    return np.concatenate([np.ravel(part) for part in observation.values()])


def _suite() -> Any:
    # without its renderer, which needs a display
    with mock.patch.dict(os.environ, MUJOCO_GL="disabled"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dm_control import suite
        from dm_control.mujoco.wrapper.mjbindings import sizes
    # it lists the fields of an older MuJoCo, and reads all of them: remove those that are gone
    for fields, kind in ((sizes.array_sizes["mjmodel"], mujoco.MjModel), (sizes.array_sizes["mjdata"], mujoco.MjData)):
        for name in [name for name in fields if not hasattr(kind, name)]:
            del fields[name]
    return suite
