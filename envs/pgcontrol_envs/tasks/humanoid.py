"""Humanoid: a body of 17 actuators, rewarded for speed while upright (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class HumanoidBody(Task):
    """What the tasks of the humanoid body share; not a task itself."""

    frame_skip = 5
    derived = ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """What is observed; height; x of the bodies' centres of mass; controls; contact forces on world and bodies."""
        cinert, cvel, self.forces = (physics.bind(field).flatten(1) for field in ("cinert", "cvel", "cfrc_ext"))
        actuators = physics.bind("qfrc_actuator")[:, 6:]
        self.observed = physics.qpos[:, 2:], physics.qvel, cinert[:, 10:], cvel[:, 6:], actuators, self.forces[:, 6:]
        self.height, self.xs, self.ctrl = physics.qpos[:, 2], physics.bind("xipos")[:, :, 0], physics.ctrl

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """The default posture, positions and velocities off by up to 0.01."""
        noise = rng.uniform(-1e-2, 1e-2, self.nq + self.nv)
        physics.qpos[ids], physics.qvel[ids] = self.init_qpos + noise[:, : self.nq], noise[:, self.nq :]

    def observe(self) -> Tensor:
        """Positions without x and y, velocities, inertias, body velocities, actuator and contact forces [N, 348]."""
        return torch.cat(self.observed, -1)


class Humanoid(HumanoidBody):
    """Walk towards +x. Ends when the torso leaves its range of height."""

    id = "Humanoid-v5"
    xml = "humanoid.xml"

    def __init__(self) -> None:
        super().__init__()
        mass = torch.from_numpy(self.model.body_mass.copy())
        self.share_of_mass = mass / mass.sum()

    def before(self) -> Tensor:
        """x of the centre of mass [N]."""
        return self.xs @ self.share_of_mass

    def reward(self, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed x 1.25, 5 for not falling, less the costs of control and of contact."""
        forward, survive = 1.25 * (self.before() - before) / self.dt, 5 * (~terminated).double()
        ctrl, contact = cost(0.1, self.ctrl), cost(5e-7, self.forces).clamp(min=-10)
        terms = {"reward_survive": survive, "reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact}
        return forward + survive + ctrl + contact, terms

    def terminated(self) -> Tensor:
        """Unless the torso is between 1 m and 2 m."""
        return ~((self.height > 1.0) & (self.height < 2.0))
