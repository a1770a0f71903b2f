"""Ant: a four-legged body in space, rewarded for speed while upright (Schulman et al. 2016; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class Ant(Task):
    """Run towards +x. Ends when the torso leaves its range of height."""

    id = "Ant-v5"
    xml = "ant.xml"
    frame_skip = 5
    derived = ("xpos", "cfrc_ext")
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """The torso's x and height, all positions but x and y, velocities, contact forces on world and bodies."""
        self.x, self.height = physics.bind("xpos")[:, self.body("torso"), 0], physics.qpos[:, 2]
        self.position, self.posture, self.velocity = physics.qpos, physics.qpos[:, 2:], physics.qvel
        self.forces = physics.bind("cfrc_ext").flatten(1)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, positions off by up to 0.1, velocities normal with deviation 0.1."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-0.1, 0.1, self.nq)
        physics.qvel[ids] = 0.1 * rng.normal(self.nv)

    def observe(self) -> Tensor:
        """Positions without x and y, velocities, contact forces on the 13 bodies within ±1 [N, 105]."""
        return torch.cat((self.posture, self.velocity, self.forces[:, 6:].clamp(-1, 1)), -1)

    def before(self) -> Tensor:
        """The torso's x [N]."""
        return self.x.clone()

    def reward(self, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed, 1 for not falling, less the costs of control and of contact."""
        forward, survive = (self.x - before) / self.dt, (~terminated).double()
        ctrl, contact = cost(0.5, action), cost(5e-4, self.forces.clamp(-1, 1))
        terms = {"reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact, "reward_survive": survive}
        return forward + survive + ctrl + contact, terms

    def terminated(self) -> Tensor:
        """Unless the torso is between 0.2 m and 1 m, and everything finite."""
        finite = (self.position.sum(-1) + self.velocity.sum(-1)).isfinite()
        return ~((self.height >= 0.2) & (self.height <= 1.0) & finite)
