"""Where points of the world lie in a picture, and the actions that are pushes there."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from pgcontrol_envs.task import Camera, Task

FULL_PUSH = 0.2
"""Length of the largest push along an axis, as a share of the picture's height."""


class View(NamedTuple):
    """A perspective picture: from where, whereto, and how large."""

    eye: np.ndarray
    """[3], m."""
    axes: np.ndarray
    """[3, 3]: the unit vectors to the right, up and forward, a row each."""
    focal: float
    """Pixels that a length covers at a distance equal to it."""
    size: tuple[int, int]
    """(width, height), pixels."""

    @classmethod
    def of(cls, camera: Camera, model: mujoco.MjModel, data: mujoco.MjData, size: tuple[int, int]) -> View:
        """A task's picture of the state in data, of which the kinematics are known."""
        view = free_camera(camera, model)
        view.lookat[:] = looked_at(camera, model, data)
        eye, forward, up, right = np.zeros((4, 3))
        mujoco.mjv_cameraFrame(eye, forward, up, right, data, view)
        focal = size[1] / 2 / np.tan(np.radians(model.vis.global_.fovy) / 2)
        return cls(eye, np.stack((right, up, forward)), float(focal), size)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] in front of the eye -> where they are in the picture [..., 2], from its upper left corner."""
        right, up, depth = np.moveaxis((points - self.eye) @ self.axes.T, -1, 0)
        x, y = self.size[0] / 2 + self.focal * right / depth, self.size[1] / 2 - self.focal * up / depth
        return np.stack((x, y), -1)


class Push(NamedTuple):
    """Actions of two joints that push a body in a plane, drawn as arrows from it."""

    view: View
    place: np.ndarray
    """[3], the body's, m."""
    middle: np.ndarray
    """[3] from the place to the arrow's tip of the action in the middle of its bounds."""
    axes: np.ndarray
    """[2, 3] added to it by each joint's half-range: forces of both joints are drawn to one scale."""

    def pixels(self, actions: np.ndarray) -> np.ndarray:
        """Actions [..., 2] in half-ranges -> the tips of their arrows in the picture [..., 2]."""
        return self.view.pixels(self.place + self.middle + actions @ self.axes)

    @property
    def origin(self) -> np.ndarray:
        """Where the arrows begin in the picture [2]."""
        return self.view.pixels(self.place)


def push(task: Task, qpos: np.ndarray, size: tuple[int, int]) -> Push | None:
    """How a task's actions are drawn on its picture of the state qpos [nq]; None where they are no pushes in a plane.

    The model itself says whether they are: both of its motors drive sliding joints, and of one body.
    """
    model, joints = task.model, task.model.actuator_trnid[:, 0]
    if model.nu != 2 or (model.actuator_trntype != mujoco.mjtTrn.mjTRN_JOINT).any():
        return None
    bodies = model.jnt_bodyid[joints]
    if (model.jnt_type[joints] != mujoco.mjtJoint.mjJNT_SLIDE).any() or bodies[0] != bodies[1]:
        return None
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    view, place = View.of(task.camera, model, data, size), data.xpos[bodies[0]].copy()
    low, high = model.actuator_ctrlrange.T[..., None]
    force = model.actuator_gear[:, :1] * data.xaxis[joints]  # N for each unit of control
    axes, middle = (high - low) / 2 * force, ((high + low) / 2 * force).sum(0)
    depth = (place - view.eye) @ view.axes[2]
    scale = FULL_PUSH * size[1] / view.focal * depth / np.linalg.norm(axes, axis=1).max()
    return Push(view, place, scale * middle, scale * axes)


def free_camera(camera: Camera, model: mujoco.MjModel) -> mujoco.MjvCamera:
    """A task's camera, which looks wherever `lookat` is set to."""
    view = camera.of(model)
    view.type = mujoco.mjtCamera.mjCAMERA_FREE
    return view


def looked_at(camera: Camera, model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """The point [3] in the middle of the picture, after mj_kinematics and mj_comPos."""
    if camera.track is None:
        return np.array(camera.lookat)
    return data.subtree_com[model.body(camera.track).id].copy()
