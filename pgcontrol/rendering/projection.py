"""Where points of the world lie in a picture, and the actions that are pushes there."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from typing import NamedTuple

import mujoco
import numpy as np
from pgcontrol_envs.task import Camera, Task

FULL_PUSH = 0.2  # length of the largest push along an axis, as a share of the picture's height


class Push(NamedTuple):
    """Actions of two joints that push a body in a plane, drawn as arrows from it in a perspective picture.

    Attributes:
        eye: [3], the camera's place, m.
        frame: [3, 3]: the camera's unit vectors to the right, up and forward, a row each.
        focal: pixels that a length covers at a distance equal to it.
        size: (width, height) of the picture, pixels.
        place: [3], the body's, m.
        middle: [3] from the place to the arrow's tip of the action in the middle of its bounds.
        axes: [2, 3] added to it by each joint's half-range: forces of both joints are drawn to one scale.
    """

    eye: np.ndarray
    frame: np.ndarray
    focal: float
    size: tuple[int, int]
    place: np.ndarray
    middle: np.ndarray
    axes: np.ndarray

    def pixels(self, actions: np.ndarray) -> np.ndarray:
        """Actions [..., 2] in half-ranges -> the tips of their arrows in the picture [..., 2], from its upper left."""
        tips = self.place + self.middle + actions @ self.axes
        right, up, depth = np.moveaxis((tips - self.eye) @ self.frame.T, -1, 0)
        x, y = self.size[0] / 2 + self.focal * right / depth, self.size[1] / 2 - self.focal * up / depth
        return np.stack((x, y), -1)

    @property
    def origin(self) -> np.ndarray:
        """Where the arrows begin in the picture [2]."""
        return self._replace(middle=np.zeros(3)).pixels(np.zeros(2))


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
    camera, place = free_camera(task.camera, model), data.xpos[bodies[0]].copy()
    camera.lookat[:] = looked_at(task.camera, model, data)
    eye, forward, up, right = np.zeros((4, 3))
    mujoco.mjv_cameraFrame(eye, forward, up, right, data, camera)
    focal = float(size[1] / 2 / np.tan(np.radians(model.vis.global_.fovy) / 2))
    low, high = model.actuator_ctrlrange.T[..., None]
    force = model.actuator_gear[:, :1] * data.xaxis[joints]  # N for each unit of control
    axes, middle = (high - low) / 2 * force, ((high + low) / 2 * force).sum(0)
    scale = FULL_PUSH * size[1] / focal * ((place - eye) @ forward) / np.linalg.norm(axes, axis=1).max()
    return Push(eye, np.stack((right, up, forward)), focal, size, place, scale * middle, scale * axes)


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
