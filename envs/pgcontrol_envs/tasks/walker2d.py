"""Walker2d: a planar biped, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum


class Walker2d(Task):
    """Walk forwards. Ends when the torso leaves its range of height or tilt."""

    id = "Walker2d-v5"
    xml = "walker2d_v5.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=4.0)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, positions and velocities off by up to 0.005."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-5e-3, 5e-3, self.model.nq)
        physics.qvel[ids] = rng.uniform(-5e-3, 5e-3, self.model.nv)

    def observe(self, physics: Physics) -> Tensor:
        """Positions without x, velocities within ±10 [N, 17]."""
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
        """Unless the torso is between 0.8 m and 2 m, tilted by less than 1 rad."""
        height, angle = physics.qpos[:, 1], physics.qpos[:, 2]
        return ~((height > 0.8) & (height < 2.0) & (angle.abs() < 1.0))
