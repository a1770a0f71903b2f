"""Walker2d: a planar biped, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class Walker2d(Task):
    """Walk forwards. Ends when the torso leaves its range of height or tilt."""

    id = "Walker2d-v5"
    xml = "walker2d_v5.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """x, height and angle of the torso, all positions but x, velocities."""
        self.x, self.height, self.angle = physics.qpos[:, :3].unbind(-1)
        self.posture, self.velocity = physics.qpos[:, 1:], physics.qvel

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, positions and velocities off by up to 0.005."""
        noise = rng.uniform(-5e-3, 5e-3, self.nq + self.nv)
        physics.qpos[ids], physics.qvel[ids] = self.init_qpos + noise[:, : self.nq], noise[:, self.nq :]

    def observe(self) -> Tensor:
        """Positions without x, velocities within ±10 [N, 17]."""
        return torch.cat((self.posture, self.velocity.clamp(-10, 10)), -1)

    def before(self) -> Tensor:
        """x [N]."""
        return self.x.clone()

    def reward(self, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed, 1 for not falling, less the cost of control."""
        forward, survive, ctrl = (self.x - before) / self.dt, (~terminated).double(), cost(1e-3, action)
        return forward + survive + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl, "reward_survive": survive}

    def terminated(self) -> Tensor:
        """Unless the torso is between 0.8 m and 2 m, tilted by less than 1 rad."""
        return ~((self.height > 0.8) & (self.height < 2.0) & (self.angle.abs() < 1.0))
