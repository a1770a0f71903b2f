"""Hopper: a one-legged planar hopper, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum


class Hopper(Task):
    """Hop forwards. Ends when the torso is low or tilted, or the state beyond bounds."""

    id = "Hopper-v5"
    xml = "hopper.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=3.0)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, positions and velocities off by up to 0.005."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-5e-3, 5e-3, self.model.nq)
        physics.qvel[ids] = rng.uniform(-5e-3, 5e-3, self.model.nv)

    def observe(self, physics: Physics) -> Tensor:
        """Positions without x, velocities within ±10 [N, 11]."""
        return torch.cat((physics.qpos[:, 1:], physics.qvel.clamp(-10, 10)), -1)

    def before(self, physics: Physics) -> Tensor:
        """x [N]."""
        return physics.qpos[:, 0].clone()

    def reward(self, physics: Physics, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed, 1 for not falling, less the cost of control."""
        forward = (physics.qpos[:, 0] - before) / self.dt
        survive = (~terminated).double()
        ctrl = -1e-3 * squared_sum(action)
        return forward + survive + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl, "reward_survive": survive}

    def terminated(self, physics: Physics) -> Tensor:
        """Unless the torso is above 0.7 m, tilted by less than 0.2 rad, and all but x and height within ±100."""
        height, angle = physics.qpos[:, 1], physics.qpos[:, 2]
        state = torch.cat((physics.qpos[:, 2:], physics.qvel), -1)
        return ~((height > 0.7) & (angle.abs() < 0.2) & (state.abs() < 100).all(-1))
