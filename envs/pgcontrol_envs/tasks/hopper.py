"""Hopper: a one-legged planar hopper, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class Hopper(Task):
    """Hop forwards. Ends when the torso is low or tilted, or the state beyond bounds."""

    id = "Hopper-v5"
    xml = "hopper.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=3.0)

    def bind(self, physics: Physics) -> None:
        """x, height and angle of the torso, all positions but x and all but x and height, velocities."""
        self.x, self.height, self.angle = physics.qpos[:, :3].unbind(-1)
        self.posture, self.joints, self.velocity = physics.qpos[:, 1:], physics.qpos[:, 2:], physics.qvel

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, positions and velocities off by up to 0.005."""
        noise = rng.uniform(-5e-3, 5e-3, self.nq + self.nv)
        physics.qpos[ids], physics.qvel[ids] = self.init_qpos + noise[:, : self.nq], noise[:, self.nq :]

    def observe(self) -> Tensor:
        """Positions without x, velocities within ±10 [N, 11]."""
        return torch.cat((self.posture, self.velocity.clamp(-10, 10)), -1)

    def before(self) -> Tensor:
        """x [N]."""
        return self.x.clone()

    def reward(self, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed, 1 for not falling, less the cost of control."""
        forward, survive, ctrl = (self.x - before) / self.dt, (~terminated).double(), cost(1e-3, action)
        return forward + survive + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl, "reward_survive": survive}

    def terminated(self) -> Tensor:
        """Unless the torso is above 0.7 m, tilted by less than 0.2 rad, and all but x and height within ±100."""
        bounded = (torch.cat((self.joints, self.velocity), -1).abs() < 100).all(-1)
        return ~((self.height > 0.7) & (self.angle.abs() < 0.2) & bounded)
