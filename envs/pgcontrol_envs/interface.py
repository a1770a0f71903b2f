"""Describes a robot's interface: each part of the observation, the meaning of an action, and other constants.

`Task.interface` describes a robot in JSON values; an exported policy includes the description. This file defines its
vocabulary; docs/legged.md lists the keys.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.task import TaskError

# the possible parts of an observation, with unit and meaning. The base is the body with the free joint
QUANTITIES = {
    "angular velocity": ("rad/s", "of the base, in its own axes: roll, pitch, yaw rate"),
    "linear velocity": ("m/s", "of the base's origin, in the base's axes"),
    "gravity": ("1", "the unit vector that points down, in the base's axes"),
    "joint position": ("rad", "of the joints, in their order"),
    "joint speed": ("rad/s", "of the joints, in their order"),
    "last action": ("as the action", "the policy's previous action; at the first step, the middle of its range"),
    "command": ("as the commands", "what the robot should do, in the order of the commands"),
}
# possible commands, with units
COMMANDS = {"forward speed": "m/s", "sideways speed": "m/s", "yaw rate": "rad/s"}


class Observed(NamedTuple):
    """A part of an observation: scale · (quantity − offset), plus noise.

    Attributes:
        name: one of QUANTITIES.
        value: the observed value without noise, [N, n].
        scale, offset: scalars, or [n].
        noise: largest absolute value of the noise, in the units of the observation.
        joints: names of the joints, [n], if the quantity has one number per joint.
    """

    name: str
    value: Array
    scale: Any = 1.0
    offset: Any = 0.0
    noise: float = 0.0
    joints: Sequence[str] = ()

    def said(self) -> dict[str, Any]:
        """The description as JSON values."""
        unit, meaning = QUANTITIES[self.name]
        said = {"name": self.name, "size": self.value.shape[-1], "unit": unit, "meaning": meaning}
        said |= {"scale": np.asarray(self.scale).tolist(), "offset": np.asarray(self.offset).tolist()}
        return said | {"noise": self.noise} | ({"joints": list(self.joints)} if self.joints else {})


def actuation(model: mujoco.MjModel) -> dict[str, Any]:
    """The meaning of an action for a model's actuators, as JSON values: targets of position servos, or torques.

    Raises:
        TaskError: an actuator is not a position servo or motor of a hinge, the kinds are mixed, or it has no limit.
    """
    kinds = mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtDyn.mjDYN_NONE
    given = model.actuator_trntype, model.actuator_gaintype, model.actuator_dyntype
    plain = np.all([field == kind for field, kind in zip(given, kinds, strict=True)], axis=0)
    driven, gear = model.actuator_trnid[:, 0], model.actuator_gear[:, 0]
    gain, (constant, stiffness, damping) = model.actuator_gainprm[:, 0], model.actuator_biasprm[:, :3].T
    affine = model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE
    servo = affine & (stiffness == -gain) & (constant == 0) & (gear == 1)
    fits = plain & (model.jnt_type[driven] == mujoco.mjtJoint.mjJNT_HINGE) & (servo if servo.any() else ~affine)
    limits = np.full(model.nu, np.inf) if servo.any() else abs(gain * gear) * abs(model.actuator_ctrlrange).max(1)
    for limited, ranges in (
        (model.actuator_forcelimited, model.actuator_forcerange * abs(gear[:, None])),
        (model.jnt_actfrclimited[driven], model.jnt_actfrcrange[driven]),
    ):
        fits &= ~limited.astype(bool) | (ranges[:, 0] == -ranges[:, 1])
        limits = np.where(limited, np.minimum(limits, ranges[:, 1]), limits)
    for i in np.flatnonzero(~fits | ~np.isfinite(limits)):
        what = "has no torque limit" if fits[i] else "is not a position servo or motor of a hinge with symmetric limits"
        raise TaskError(f"interface: the actuator {model.actuator(i).name or i} {what}")
    low, high = model.actuator_ctrlrange.T.tolist()
    said = {"low": low, "high": high, "torque_unit": "N·m", "torque_limit": limits.tolist()}
    said["joints"] = [model.joint(i).name for i in driven]
    if servo.any():
        how = "the target position of a joint; torque = kp · (action − position) − kd · speed, within its limit"
        gains = {"kp": gain.tolist(), "kd": (-damping).tolist()}
        return {"name": "joint position target", "unit": "rad", "meaning": how} | said | gains
    how = "torque = scale · action, within its limit"
    return {"name": "joint torque", "unit": "1", "meaning": how} | said | {"scale": (gain * gear).tolist()}
