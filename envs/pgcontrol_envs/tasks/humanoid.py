"""Humanoid: a body with 17 actuators, rewarded for speed while upright (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

from math import inf

from pgcontrol_envs.arrays import Array, join, within
from pgcontrol_envs.locomotion import Healthy
from pgcontrol_envs.reflection import joined
from pgcontrol_envs.task import Camera, Mirror, Physics, Reflection, Task, Terms

# fields that may be observed, and how many of their numbers are left out: those of the world, or of the free joint
OPTIONAL = {"cinert": 10, "cvel": 6, "qfrc_actuator": 6, "cfrc_ext": 6}


class HumanoidBody(Task):
    """The common part of the tasks with the humanoid body; not a task itself.

    Attributes:
        ctrl_cost_weight: factor of the sum of squared controls.
        include_cinert_in_observation: whether the bodies' inertias are observed.
        include_cvel_in_observation: whether the bodies' velocities are observed.
        include_qfrc_actuator_in_observation: whether the actuators' forces are observed.
        include_cfrc_ext_in_observation: whether contact forces are observed.
    """

    settings = (
        "ctrl_cost_weight",
        "reset_noise_scale",
        "exclude_current_positions_from_observation",
        "include_cinert_in_observation",
        "include_cvel_in_observation",
        "include_qfrc_actuator_in_observation",
        "include_cfrc_ext_in_observation",
    )
    frame_skip = 5
    reset_noise = 0.01
    unobserved = 2
    ctrl_cost_weight = 0.1
    include_cinert_in_observation = True
    include_cvel_in_observation = True
    include_qfrc_actuator_in_observation = True
    include_cfrc_ext_in_observation = True
    derived = ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")
    camera = Camera(track=1, distance=4.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of observed fields, height, controls, contact forces, the bodies' x and fractions of the mass."""
        super().bind(physics)
        fields = {name: physics.bind(name).reshape(len(physics.qpos), -1) for name in OPTIONAL}
        self.forces = fields["cfrc_ext"]
        self.observed = self.posture, self.velocity, *(fields[name][:, OPTIONAL[name] :] for name in self.included())
        self.height, self.ctrl, self.xs = physics.qpos[:, 2], physics.ctrl, physics.bind("xipos")[:, :, 0]
        self.share_of_mass = physics.array(self.model.body_mass / self.model.body_mass.sum())

    def included(self) -> list[str]:
        """The optional fields that are observed."""
        return [name for name in OPTIONAL if getattr(self, f"include_{name}_in_observation")]

    def observe(self) -> Array:
        """Positions without x and y, velocities, inertias, body velocities, actuator and contact forces [N, 348]."""
        return join(*self.observed)

    def control_cost(self) -> Array:
        """The control cost [N], negative."""
        return -self.ctrl_cost_weight * (self.ctrl**2).sum(-1)

    def contact_cost(self, weight: float, between: tuple[float, float]) -> Array:
        """The contact cost [N], negative: the weighted sum of squared forces, clipped."""
        return -(weight * (self.forces**2).sum(-1)).clip(*between)


class Humanoid(Healthy, HumanoidBody):
    """Walk towards +x. Ends when the torso's height leaves its range.

    Attributes:
        forward_reward_weight: factor of the speed of the centre of mass.
        contact_cost_weight: factor of the sum of squared contact forces.
        contact_cost_range: range to which the contact cost is clipped.
    """

    id = "Humanoid-v5"
    xml = "humanoid.xml"
    settings = ("forward_reward_weight", "contact_cost_weight", "contact_cost_range")
    forward_reward_weight = 1.25
    healthy_reward = 5.0
    healthy_z_range = (1.0, 2.0)
    contact_cost_weight = 5e-7
    contact_cost_range = (-inf, 10.0)

    def before(self) -> Array:
        """x of the centre of mass [N]."""
        return (self.xs * self.share_of_mass).sum(-1)

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed plus the reward for being healthy, minus the control and contact costs."""
        forward, survive = self.forward_reward_weight * (self.before() - before) / self.dt, self.survive(terminated)
        ctrl, contact = self.control_cost(), self.contact_cost(self.contact_cost_weight, self.contact_cost_range)
        terms = {"reward_survive": survive, "reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact}
        return forward + survive + ctrl + contact, terms

    def reflection(self) -> Reflection:
        """Left for right, although the armatures of the hips differ. In HumanoidStandup their ranges differ, too."""
        return Reflection(self.model)

    def mirror(self) -> Mirror:
        """Also mirrors inertias, body velocities, actuator and contact forces."""
        found = self.reflection()
        images = {"cinert": found.inertias, "qfrc_actuator": found.velocities}
        more = [images.get(name, found.spatial).after(OPTIONAL[name]) for name in self.included()]
        return Mirror(joined([*self.state_image(found), *more]), found.controls)

    def healthy(self) -> Array:
        """Whether the torso is between 1 m and 2 m."""
        return within(self.height, self.healthy_z_range)
