"""The description of an exported policy: its inputs and outputs, its timing, and the run it comes from."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import json
from collections.abc import Mapping
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

import mujoco
import pgcontrol_envs
from torch import Tensor

from pgcontrol.exporting.interface import read
from pgcontrol.options import InputError
from pgcontrol.policy import Policy
from pgcontrol.runs.folder import PACKAGES, RunFolder
from pgcontrol.runs.load import make_env

SCHEMA = 1
INPUTS = {
    "obs": "observations as the task returns them, not normalised",
    "noise": "independent uniform numbers in [0, 1), new ones for every choice; equal numbers give equal samples",
}


def describe(folder: Path, meta: dict[str, Any], policy: Policy, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """The inputs and outputs of a checkpoint's policy and their context, as JSON values.

    Args:
        folder: the checkpoint.
        meta: its meta.json.
        policy: the policy in it.
        inputs: an example of each input, [1, ...] by name.

    Raises:
        InputError: the task is not available, or its description of the robot is invalid.
    """
    with closing(make_env(meta["policy"]["env"], 1, seed=0)) as env:
        return {
            "schema": SCHEMA,
            "task": env.env_id,
            "inputs": [
                {"name": n, "dtype": str(x.numpy().dtype), "shape": ["N", *x.shape[1:]], "meaning": INPUTS[n]}
                | (_shaped(policy.shapes.obs) if n == "obs" else {})
                for n, x in inputs.items()
            ],
            "outputs": [_action(env, policy)],
            "timing": {
                "control_dt": env.control_dt,
                "horizon": policy.head.horizon,
                "meaning": "the actions of one choice, `horizon` of them, are played in order, each for `control_dt`"
                " seconds, before the next choice",
            },
            "run": _run(folder, meta),
            "versions": {name: metadata.version(name) for name in (*PACKAGES, "onnx", "onnxscript", "onnxruntime")},
        } | _interface(env)


def _interface(env: pgcontrol_envs.VecEnv) -> dict[str, Any]:
    """The task's description of its robot; empty if it has none."""
    if env.task is None or (interface := env.task.interface()) is None:
        return {}
    read(json.loads(json.dumps(interface)), f"{type(env.task).__name__}.interface")
    return {"interface": interface}


def _shaped(shape: tuple[int, ...]) -> dict[str, Any]:
    """The environment's own shape, if it is not flat."""
    return {} if len(shape) == 1 else {"env_shape": list(shape), "order": "flattened row by row (C)"}


def _action(env: pgcontrol_envs.VecEnv, policy: Policy) -> dict[str, Any]:
    head, whole = policy.head, policy.shapes.whole
    low, high = (bound.round() + 0.0 if whole else bound for bound in (head.low, head.high))  # + 0.0: no -0.0
    return {
        "name": "action",
        "dtype": "float32",
        "shape": ["N", *head.answer_shape],
        "low": low.tolist(),
        "high": high.tolist(),
        "meaning": "the task's action, one number per joint" + ", rounded to whole numbers" * whole,
        **_shaped(policy.shapes.action),
        "joints": None if env.task is None else [_actuator(env.task.model, i) for i in range(head.joints)],
    }


def _actuator(model: Any, i: int) -> dict[str, Any]:
    """Names of an actuator and its joint, and for a motor the force or torque per unit of control."""
    said: dict[str, Any] = {"actuator": model.actuator(i).name or None}
    if model.actuator_trntype[i] != mujoco.mjtTrn.mjTRN_JOINT:
        return said
    joint = model.joint(model.actuator_trnid[i, 0])
    said["joint"] = joint.name or None
    fixed = model.actuator_gaintype[i] == mujoco.mjtGain.mjGAIN_FIXED
    if fixed and model.actuator_biastype[i] == mujoco.mjtBias.mjBIAS_NONE:
        said["force_per_unit"] = float(model.actuator_gainprm[i, 0] * model.actuator_gear[i, 0])
        said["unit"] = "N·m" if model.jnt_type[joint.id] == mujoco.mjtJoint.mjJNT_HINGE else "N"
    return said


def _run(folder: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """What the checkpoint, and the run folder that contains it, record about the training."""
    said: dict[str, Any] = {"checkpoint": str(folder)}
    said |= {name: meta["policy"][name] for name in ("head", "hidden")}
    said |= {name: meta.get(name) for name in ("algorithm", "steps")}
    if returns := [total for total, *_ in meta.get("episodes") or []]:
        said["training_return"] = {"mean": round(fmean(returns), 3), "episodes": len(returns)}
    run = RunFolder(folder.parent.parent)
    manifest = run.manifest()
    said |= {name: manifest[name] for name in ("command", "started", "versions", "git") if name in manifest}
    with suppress(InputError, OSError):
        said["seed"] = run.config().seed
    return said
