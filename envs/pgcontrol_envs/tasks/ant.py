"""Ant: a four-legged body in space, rewarded for speed while upright (Schulman et al. 2016; Gymnasium's v5)."""

from math import inf

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.locomotion import Locomotion
from pgcontrol_envs.task import Camera, Physics, Terms


class Ant(Locomotion):
    """Run towards +x. Ends when the torso leaves its range of height."""

    id = "Ant-v5"
    xml = "ant.xml"
    frame_skip = 5
    reset_noise = 0.1
    normal_velocities = True
    unobserved = 2
    ctrl_cost = 0.5
    healthy_reward = 1.0
    derived = ("xpos", "cfrc_ext")
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """x is the torso's; its height, all positions, and contact forces on each body, too."""
        super().bind(physics)
        self.x, self.height = physics.bind("xpos")[:, self.body("torso"), 0], physics.qpos[:, 2]
        self.position, self.forces = physics.qpos, physics.bind("cfrc_ext").reshape(len(self.x), -1)

    def observe(self) -> Array:
        """Positions without x and y, velocities, contact forces on the 13 bodies within ±1 [N, 105]."""
        return join(self.posture, self.velocity, self.forces[:, 6:].clip(-1, 1))

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Less the cost of contact, too."""
        reward, terms = super().reward(action, before, terminated)
        contact = -5e-4 * (self.forces.clip(-1, 1) ** 2).sum(-1)
        return reward + contact, terms | {"reward_contact": contact}

    def terminated(self) -> Array:
        """Unless the torso is between 0.2 m and 1 m, and everything finite."""
        finite = (abs(join(self.position, self.velocity)) < inf).all(-1)
        return ~((self.height >= 0.2) & (self.height <= 1.0) & finite)
