"""HalfCheetah: a planar two-legged runner, rewarded for speed (Wawrzyński 2009; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class HalfCheetah(Task):
    """Run forwards. Never terminates."""

    id = "HalfCheetah-v5"
    xml = "half_cheetah.xml"
    frame_skip = 5
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """x, the other positions, velocities."""
        self.x, self.posture, self.velocity = physics.qpos[:, 0], physics.qpos[:, 1:], physics.qvel

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Default posture, positions off by up to 0.1, velocities normal with deviation 0.1."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-0.1, 0.1, self.nq)
        physics.qvel[ids] = 0.1 * rng.normal(self.nv)

    def observe(self) -> Tensor:
        """Positions without x, velocities [N, 17]."""
        return torch.cat((self.posture, self.velocity), -1)

    def before(self) -> Tensor:
        """x [N]."""
        return self.x.clone()

    def reward(self, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed less the cost of control."""
        forward, ctrl = (self.x - before) / self.dt, cost(0.1, action)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}
