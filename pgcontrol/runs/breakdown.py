"""Files of breakdowns, and `pgcontrol.replay`, which repeats a breakdown and shows every substep."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from pgcontrol_envs.mujoco_batch import HUSH
from pgcontrol_envs.physics import UNSTABLE
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.arguments import ReplayOptions
from pgcontrol.learning.breakdowns import Breakdown
from pgcontrol.machine import files
from pgcontrol.options import InputError, takes
from pgcontrol.parts import command, require_plugins
from pgcontrol.runs.load import make_env
from pgcontrol.text import one_line

FOLDER = "breakdowns"  # in a run folder
INTEGRATION = "physics.integration"


@dataclass(frozen=True)
class Replay:
    """The repetition of an environment step that broke down.

    Attributes:
        env: the task.
        recorded: the recorded reason of the breakdown.
        reproduced: whether the step breaks down again.
        why: how it breaks down, or what happens instead.
        lines: one line per substep: time, and the largest position, velocity and acceleration with their joints.
    """

    env: str
    recorded: str
    reproduced: bool
    why: str
    lines: list[str]


def write(run: Path, env_id: str, plugins: Mapping[str, Any], found: Breakdown, first: int) -> str:
    """Write a breakdown to a file in the run folder. Returns a line for the user.

    Args:
        run: the run folder.
        env_id: the task.
        plugins: the plug-ins of the run, in the format of a checkpoint.
        found: the breakdown.
        first: environment steps of the run before this session.
    """
    step = first + found.played
    line = f"step {step:,}: environment {found.env} was reset, because {found.why}"
    if found.state is None:
        return line
    file = run / FOLDER / f"step_{step:09d}-env_{found.env}.json"
    file.parent.mkdir(exist_ok=True)
    state = {name: tensor.tolist() for name, tensor in found.state.items()}
    about = {"env": env_id, "plugins": dict(plugins), "step": step, "environment": found.env, "why": found.why}
    files.write_json(file, about | {"action": found.action.tolist(), "obs": found.obs.tolist(), "state": state})
    return f"{line}; to replay it: {command('replay', file, plugins=plugins)}"


@takes(ReplayOptions)
def replay(options: ReplayOptions) -> Replay:
    """Set a task to the state that led to a breakdown, and repeat the step.

    Raises:
        InputError: the file is missing, damaged or not a breakdown, or its task does not exist here or has changed.
    """
    kept = _read(options.file)
    require_plugins(kept["plugins"], options.file)
    env = make_env(kept["env"], 1, 0, threads=1)
    if not isinstance(env, TaskVecEnv):
        raise InputError(f"{options.file}: the state of {kept['env']} cannot be set")
    try:
        tensors, extra = env.state()
        given = {name: torch.tensor(kept["state"][name], dtype=like.dtype) for name, like in tensors.items()}
        env.load_state(tensors | given, extra)
        action = torch.tensor([kept["action"]], dtype=torch.float32)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            step = env.step(action)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{options.file} does not fit {kept['env']} as installed here: {one_line(error)}") from None
    lines = _substeps(env, given[INTEGRATION][0].numpy(), action[0].numpy())
    finite = bool(step.obs.isfinite().all() and step.reward.isfinite().all())
    warned = [str(one.message) for one in heard]
    if step.unstable is None and finite:
        why = f"no breakdown here: reward {float(step.reward[0]):.4g}"
    else:
        why = "; ".join(warned) or "observation or reward is infinite or NaN"
    return Replay(kept["env"], kept["why"], step.unstable is not None or not finite, why, lines)


def _read(file: Path) -> dict[str, Any]:
    kinds = {"env": str, "plugins": dict, "why": str, "action": list, "state": dict}
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        kept = files.unsealed(json.loads(file.read_text("utf-8")))
        for name, kind in kinds.items():
            if not isinstance(kept[name], kind):
                raise ValueError(f"{name} is {kept[name]!r}")
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(f"{file} is not a record of a breakdown, or it is damaged: {one_line(error)}") from None
    return kept


def _substeps(env: TaskVecEnv, state: np.ndarray, action: np.ndarray) -> list[str]:
    """Simulate from a state until MuJoCo would reset to the model's defaults; one line per substep."""
    model, data = env.task.model, mujoco.MjData(env.task.model)
    flags = model.opt.disableflags
    model.opt.disableflags = flags | mujoco.mjtDisableBit.mjDSBL_AUTORESET
    lines = []
    try:
        mujoco.mj_setState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        data.ctrl[:] = action
        for substep in range(env.task.frame_skip + 1):
            if substep:
                with HUSH:
                    mujoco.mj_step(model, data)
            largest = (_largest(model, name, getattr(data, name)) for name in ("qpos", "qvel", "qacc"))
            lines.append(f"{data.time:10.4f} s  " + "  ".join(largest))
            if any(data.warning[kind].number for kind in UNSTABLE):
                break
    finally:
        model.opt.disableflags = flags
    return lines


def _largest(model: mujoco.MjModel, name: str, values: np.ndarray) -> str:
    """The value furthest from 0, or the first infinite or NaN value, and its joint."""
    bad = np.flatnonzero(~np.isfinite(values))
    at = int(bad[0]) if len(bad) else int(np.abs(values).argmax())
    starts = model.jnt_qposadr if name == "qpos" else model.jnt_dofadr
    joint = int(np.searchsorted(starts, at, side="right")) - 1
    return f"{name} {values[at]:.4g} ({model.joint(joint).name or f'joint {joint}'})"
