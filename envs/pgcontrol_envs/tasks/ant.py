"""Ant: a four-legged body in space, rewarded for speed while upright (Schulman et al. 2016; Gymnasium's v5)."""

from math import inf

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms


class Ant(Task):
    """Run towards +x. Ends when the torso leaves its range of height."""

    id = "Ant-v5"
    xml = "ant.xml"
    frame_skip = 5
    derived = ("xpos", "cfrc_ext")
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """The torso's x and height, all positions and all but x and y, velocities, contact forces on each body."""
        self.x, self.height = physics.bind("xpos")[:, self.body("torso"), 0], physics.qpos[:, 2]
        self.position, self.posture, self.velocity = physics.qpos, physics.qpos[:, 2:], physics.qvel
        self.forces = physics.bind("cfrc_ext").reshape(len(self.x), -1)

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Positions off by up to 0.1, velocities normal with deviation 0.1."""
        physics.qpos[ids] += rng.uniform(-0.1, 0.1, self.model.nq)
        physics.qvel[ids] = 0.1 * rng.normal(self.model.nv)

    def observe(self) -> Array:
        """Positions without x and y, velocities, contact forces on the 13 bodies within ±1 [N, 105]."""
        return join(self.posture, self.velocity, self.forces[:, 6:].clip(-1, 1))

    def before(self) -> Array:
        """The torso's x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed, 1 for not falling, less the costs of control and of contact."""
        forward, survive = (self.x - before) / self.dt, 1.0 * ~terminated
        ctrl, contact = -0.5 * (action**2).sum(-1), -5e-4 * (self.forces.clip(-1, 1) ** 2).sum(-1)
        terms = {"reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact, "reward_survive": survive}
        return forward + survive + ctrl + contact, terms

    def terminated(self) -> Array:
        """Unless the torso is between 0.2 m and 1 m, and everything finite."""
        finite = (abs(join(self.position, self.velocity)) < inf).all(-1)
        return ~((self.height >= 0.2) & (self.height <= 1.0) & finite)
