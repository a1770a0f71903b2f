"""Reacher: a two-joint arm in the plane, rewarded for nearness of its tip to a random target (Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cos, cost, sin


class Reacher(Task):
    """Bring the fingertip to the target. Never terminates."""

    id = "Reacher-v5"
    xml = "reacher.xml"
    frame_skip = 2
    time_limit = 50
    derived = ("xpos",)
    camera = Camera(distance=0.8, elevation=-90.0)

    def bind(self, physics: Physics) -> None:
        """Joint angles and velocities, the target as it is in qpos, places of fingertip and target."""
        self.theta, self.target, self.velocity = physics.qpos[:, :2], physics.qpos[:, 2:], physics.qvel[:, :2]
        self.tip, self.goal = (physics.bind("xpos")[:, self.body(name)] for name in ("fingertip", "target"))

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Joints off by up to 0.1 rad, nearly at rest; the target uniform in the disc of 0.2 m."""
        qpos = self.init_qpos + rng.uniform(-0.1, 0.1, self.nq)
        qpos[:, 2:] = rng.until(lambda target: target.norm(dim=-1) < 0.2, lambda some: some.uniform(-0.2, 0.2, 2))
        qvel = rng.uniform(-5e-3, 5e-3, self.nv)
        qvel[:, 2:] = 0
        physics.qpos[ids], physics.qvel[ids] = qpos, qvel

    def observe(self) -> Tensor:
        """Cosines and sines of the joints, target, joint velocities, fingertip - target in the plane [N, 10]."""
        to_target = (self.tip - self.goal)[:, :2]
        return torch.cat((cos(self.theta), sin(self.theta), self.target, self.velocity, to_target), -1)

    def reward(self, action: Tensor, before: None, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Minus the distance, less the cost of control."""
        dist, ctrl = -(self.tip - self.goal).norm(dim=-1), cost(1.0, action)
        return dist + ctrl, {"reward_dist": dist, "reward_ctrl": ctrl}
