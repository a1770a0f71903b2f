"""Ant: a four-legged body in space, rewarded for speed while upright (Schulman et al. 2016; Gymnasium's v5)."""

from math import inf
from typing import ClassVar

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.locomotion import Upright
from pgcontrol_envs.reflection import joined
from pgcontrol_envs.task import Camera, Mirror, Physics, Reflection, Terms


class Ant(Upright):
    """Run towards +x. Ends when the torso's height leaves its range.

    Attributes:
        main_body: the body whose x is rewarded: its name or its index.
        contact_cost_weight: factor of the sum of squared contact forces.
        contact_force_range: range to which contact forces are clipped.
        include_cfrc_ext_in_observation: whether contact forces are observed.
    """

    id = "Ant-v5"
    xml = "ant.xml"
    settings = ("main_body", "contact_cost_weight", "contact_force_range", "include_cfrc_ext_in_observation")
    frame_skip = 5
    reset_noise = 0.1
    normal_velocities = True
    unobserved = 2
    ctrl_cost_weight = 0.5
    healthy_z_range = (0.2, 1.0)
    main_body: ClassVar[int | str] = 1
    contact_cost_weight = 5e-4
    contact_force_range = (-1.0, 1.0)
    include_cfrc_ext_in_observation = True
    derived = ("xpos", "cfrc_ext")
    camera = Camera(track=1, distance=4.0)

    def bind(self, physics: Physics) -> None:
        """x is the torso's. Also keeps views of the torso's height, all positions, and contact forces on each body."""
        super().bind(physics)
        self.x, self.height = physics.bind("xpos")[:, self.body(self.main_body), 0], physics.qpos[:, 2]
        self.position, self.forces = physics.qpos, physics.bind("cfrc_ext").reshape(len(self.x), -1)

    def observe(self) -> Array:
        """Positions without x and y, velocities, contact forces on the 13 bodies clipped to ±1 [N, 105]."""
        if not self.include_cfrc_ext_in_observation:
            return super().observe()
        return join(self.posture, self.velocity, self.forces[:, 6:].clip(*self.contact_force_range))

    def reflection(self) -> Reflection:
        """Left for right."""
        return Reflection(self.model)

    def mirror(self) -> Mirror:
        """Also mirrors the contact forces."""
        found = self.reflection()
        forces = [found.spatial.after(6)] if self.include_cfrc_ext_in_observation else []
        return Mirror(joined([*self.state_image(found), *forces]), found.controls)

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Also subtracts the contact cost."""
        reward, terms = super().reward(action, before, terminated)
        contact = -self.contact_cost_weight * (self.forces.clip(*self.contact_force_range) ** 2).sum(-1)
        return reward + contact, terms | {"reward_contact": contact}

    def healthy(self) -> Array:
        """Whether the torso's height is in its range, and all values are finite."""
        low, high = self.healthy_z_range
        finite = (abs(join(self.position, self.velocity)) < inf).all(-1)
        return (self.height >= low) & (self.height <= high) & finite
