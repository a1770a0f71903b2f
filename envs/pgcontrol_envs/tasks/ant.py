"""Ant: a four-legged body in space, rewarded for speed while upright (Schulman et al. 2016; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum


class Ant(Task):
    """Run towards +x. Ends when the torso leaves its range of height."""

    id = "Ant-v5"
    xml = "ant.xml"
    frame_skip = 5
    derived = ("xpos", "cfrc_ext")
    camera = Camera(track="torso", distance=4.0)

    def __init__(self) -> None:
        super().__init__()
        self.torso = self.body("torso")

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, positions off by up to 0.1, velocities normal with deviation 0.1."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-0.1, 0.1, self.model.nq)
        physics.qvel[ids] = 0.1 * rng.normal(self.model.nv)

    def observe(self, physics: Physics) -> Tensor:
        """Positions without x and y, velocities, contact forces on the 13 bodies within ±1 [N, 105]."""
        forces = physics.bind("cfrc_ext")[:, 1:].flatten(1).clamp(-1, 1)
        return torch.cat((physics.qpos[:, 2:], physics.qvel, forces), -1)

    def before(self, physics: Physics) -> Tensor:
        """The torso's x [N]."""
        return physics.bind("xpos")[:, self.torso, 0].clone()

    def reward(self, physics: Physics, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed, 1 for not falling, less the costs of control and of contact."""
        forward = (physics.bind("xpos")[:, self.torso, 0] - before) / self.dt
        survive = (~terminated).double()
        ctrl = -0.5 * squared_sum(action)
        contact = -5e-4 * squared_sum(physics.bind("cfrc_ext").flatten(1).clamp(-1, 1))
        terms = {"reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact, "reward_survive": survive}
        return forward + survive + ctrl + contact, terms

    def terminated(self, physics: Physics) -> Tensor:
        """Unless the torso is between 0.2 m and 1 m, and everything finite."""
        height = physics.qpos[:, 2]
        finite = torch.cat((physics.qpos, physics.qvel), -1).isfinite().all(-1)
        return ~((height >= 0.2) & (height <= 1.0) & finite)
