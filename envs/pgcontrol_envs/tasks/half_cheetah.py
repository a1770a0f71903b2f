"""HalfCheetah: a planar two-legged runner, rewarded for speed (Wawrzyński 2009; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum


class HalfCheetah(Task):
    """Run forwards. Never terminates."""

    id = "HalfCheetah-v5"
    xml = "half_cheetah.xml"
    frame_skip = 5
    camera = Camera(track="torso", distance=4.0)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Default posture, positions off by up to 0.1, velocities normal with deviation 0.1."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-0.1, 0.1, self.model.nq)
        physics.qvel[ids] = 0.1 * rng.normal(self.model.nv)

    def observe(self, physics: Physics) -> Tensor:
        """Positions without x, velocities [N, 17]."""
        return torch.cat((physics.qpos[:, 1:], physics.qvel), -1)

    def before(self, physics: Physics) -> Tensor:
        """x [N]."""
        return physics.qpos[:, 0].clone()

    def reward(self, physics: Physics, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed less the cost of control."""
        forward = (physics.qpos[:, 0] - before) / self.dt
        ctrl = -0.1 * squared_sum(action)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}
