"""Swimmer: a three-link snake in a viscous fluid, rewarded for speed (Coulom 2002; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class Swimmer(Task):
    """Swim towards +x. Never terminates."""

    id = "Swimmer-v5"
    xml = "swimmer.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=5.0, elevation=-60.0)

    def bind(self, physics: Physics) -> None:
        """x, the positions but x and y, velocities."""
        self.x, self.posture, self.velocity = physics.qpos[:, 0], physics.qpos[:, 2:], physics.qvel

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Stretched, positions and velocities off by up to 0.1."""
        noise = rng.uniform(-0.1, 0.1, self.nq + self.nv)
        physics.qpos[ids], physics.qvel[ids] = self.init_qpos + noise[:, : self.nq], noise[:, self.nq :]

    def observe(self) -> Tensor:
        """Positions without x and y, velocities [N, 8]."""
        return torch.cat((self.posture, self.velocity), -1)

    def before(self) -> Tensor:
        """x [N]."""
        return self.x.clone()

    def reward(self, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed less the cost of control."""
        forward, ctrl = (self.x - before) / self.dt, cost(1e-4, action)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}
