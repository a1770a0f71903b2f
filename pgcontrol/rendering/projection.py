"""Projects points of the world into a picture, and actions that are pushes."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from typing import NamedTuple

import mujoco
import numpy as np
from pgcontrol_envs.task import Camera, Task

FULL_PUSH = 0.2  # length of the largest push along an axis, as a fraction of the picture's height


class Push(NamedTuple):
    """Actions of two joints that push a body in a plane, as arrows in a perspective picture.

    Attributes:
        eye: [3], position of the camera, m.
        frame: [3, 3]: the camera's unit vectors to the right, up and forward, one per row.
        focal: focal length in pixels.
        size: (width, height) of the picture, pixels.
        place: [3], position of the body, m.
        middle: [3] arrow of the action in the middle of its bounds.
        axes: [2, 3] what each joint's half-range adds to the arrow; both joints have the same scale for forces.
    """

    eye: np.ndarray
    frame: np.ndarray
    focal: float
    size: tuple[int, int]
    place: np.ndarray
    middle: np.ndarray
    axes: np.ndarray

    def pixels(self, actions: np.ndarray) -> np.ndarray:
        """Tips of the arrows of actions [..., 2] (half-ranges) in the picture [..., 2], from its upper left corner."""
        tips = self.place + self.middle + actions @ self.axes
        right, up, depth = np.moveaxis((tips - self.eye) @ self.frame.T, -1, 0)
        x, y = self.size[0] / 2 + self.focal * right / depth, self.size[1] / 2 - self.focal * up / depth
        return np.stack((x, y), -1)

    @property
    def origin(self) -> np.ndarray:
        """Start of the arrows in the picture [2]."""
        return self._replace(middle=np.zeros(3)).pixels(np.zeros(2))


def push(task: Task, qpos: np.ndarray, size: tuple[int, int]) -> Push | None:
    """How to draw a task's actions on a picture of the state qpos [nq]; None if they are not pushes in a plane.

    They are if the model has two motors that drive sliding joints of the same body.
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
    force = model.actuator_gear[:, :1] * data.xaxis[joints]  # N per unit of control
    axes, middle = (high - low) / 2 * force, ((high + low) / 2 * force).sum(0)
    scale = FULL_PUSH * size[1] / focal * ((place - eye) @ forward) / np.linalg.norm(axes, axis=1).max()
    return Push(eye, np.stack((right, up, forward)), focal, size, place, scale * middle, scale * axes)


def free_camera(camera: Camera, model: mujoco.MjModel) -> mujoco.MjvCamera:
    """A task's camera as a free camera, which looks at its `lookat`."""
    view = camera.of(model)
    view.type = mujoco.mjtCamera.mjCAMERA_FREE
    return view


def looked_at(camera: Camera, model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """The point [3] in the middle of the picture; call it after mj_kinematics and mj_comPos."""
    if camera.track is None:
        return np.array(camera.lookat)
    return data.subtree_com[model.body(camera.track).id].copy()
