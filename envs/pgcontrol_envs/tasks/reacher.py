"""Reacher: a two-joint arm in the plane, rewarded for nearness of its tip to a random target (Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cos, sin, squared_sum


class Reacher(Task):
    """Bring the fingertip to the target. Never terminates."""

    id = "Reacher-v5"
    xml = "reacher.xml"
    frame_skip = 2
    time_limit = 50
    derived = ("xpos",)
    camera = Camera(distance=0.8, elevation=-90.0)

    def __init__(self) -> None:
        super().__init__()
        self.fingertip, self.target = self.body("fingertip"), self.body("target")

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Joints off by up to 0.1 rad, nearly at rest; the target uniform in the disc of 0.2 m."""
        qpos = self.init_qpos + rng.uniform(-0.1, 0.1, self.model.nq)
        qpos[:, 2:] = rng.until(lambda target: target.norm(dim=-1) < 0.2, lambda some: some.uniform(-0.2, 0.2, 2))
        qvel = rng.uniform(-5e-3, 5e-3, self.model.nv)
        qvel[:, 2:] = 0
        physics.qpos[ids], physics.qvel[ids] = qpos, qvel

    def observe(self, physics: Physics) -> Tensor:
        """Cosines and sines of the joints, target, joint velocities, fingertip - target in the plane [N, 10]."""
        theta, target, velocity = physics.qpos[:, :2], physics.qpos[:, 2:], physics.qvel[:, :2]
        return torch.cat((cos(theta), sin(theta), target, velocity, self.to_target(physics)[:, :2]), -1)

    def reward(self, physics: Physics, action: Tensor, before: None, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Minus the distance, less the cost of control."""
        dist, ctrl = -self.to_target(physics).norm(dim=-1), -squared_sum(action)
        return dist + ctrl, {"reward_dist": dist, "reward_ctrl": ctrl}

    def to_target(self, physics: Physics) -> Tensor:
        """Fingertip - target [N, 3]."""
        xpos = physics.bind("xpos")
        return xpos[:, self.fingertip] - xpos[:, self.target]
