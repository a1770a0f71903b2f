"""Humanoid: a body of 17 actuators, rewarded for speed while upright (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.task import Camera, Physics, Task, Terms


class HumanoidBody(Task):
    """What the tasks of the humanoid body share; not a task itself."""

    frame_skip = 5
    reset_noise = 0.01
    derived = ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """What is observed; height; controls; contact forces on each body; the bodies' x and shares of the mass."""
        fields = (physics.bind(field) for field in ("cinert", "cvel", "cfrc_ext"))
        cinert, cvel, self.forces = (field.reshape(len(field), -1) for field in fields)
        actuators = physics.bind("qfrc_actuator")[:, 6:]
        self.observed = physics.qpos[:, 2:], physics.qvel, cinert[:, 10:], cvel[:, 6:], actuators, self.forces[:, 6:]
        self.height, self.ctrl, self.xs = physics.qpos[:, 2], physics.ctrl, physics.bind("xipos")[:, :, 0]
        self.share_of_mass = physics.array(self.model.body_mass / self.model.body_mass.sum())

    def observe(self) -> Array:
        """Positions without x and y, velocities, inertias, body velocities, actuator and contact forces [N, 348]."""
        return join(*self.observed)


class Humanoid(HumanoidBody):
    """Walk towards +x. Ends when the torso leaves its range of height."""

    id = "Humanoid-v5"
    xml = "humanoid.xml"

    def before(self) -> Array:
        """x of the centre of mass [N]."""
        return (self.xs * self.share_of_mass).sum(-1)

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed x 1.25, 5 for not falling, less the costs of control and of contact."""
        forward, survive = 1.25 * (self.before() - before) / self.dt, 5.0 * ~terminated
        ctrl, contact = -0.1 * (self.ctrl**2).sum(-1), (-5e-7 * (self.forces**2).sum(-1)).clip(-10)
        terms = {"reward_survive": survive, "reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact}
        return forward + survive + ctrl + contact, terms

    def terminated(self) -> Array:
        """Unless the torso is between 1 m and 2 m."""
        return ~((self.height > 1.0) & (self.height < 2.0))
