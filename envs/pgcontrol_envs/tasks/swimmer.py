"""Swimmer: a three-link snake in a viscous fluid, rewarded for speed (Coulom 2002; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum


class Swimmer(Task):
    """Swim to the right. Never terminates."""

    id = "Swimmer-v5"
    xml = "swimmer.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=5.0, elevation=-60.0)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Stretched, positions and velocities off by up to 0.1."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-0.1, 0.1, self.model.nq)
        physics.qvel[ids] = rng.uniform(-0.1, 0.1, self.model.nv)

    def observe(self, physics: Physics) -> Tensor:
        """Positions without x and y, velocities [N, 8]."""
        return torch.cat((physics.qpos[:, 2:], physics.qvel), -1)

    def before(self, physics: Physics) -> Tensor:
        """x [N]."""
        return physics.qpos[:, 0].clone()

    def reward(self, physics: Physics, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed less the cost of control."""
        forward = (physics.qpos[:, 0] - before) / self.dt
        ctrl = -1e-4 * squared_sum(action)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}
