"""Humanoid: a body of 17 actuators, rewarded for speed while upright (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum

BODY_FIELDS = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")


def observe_body(physics: Physics) -> Tensor:
    """Positions without x and y, velocities, inertias, body velocities, actuator and contact forces [N, 348]."""
    parts = [physics.qpos[:, 2:], physics.qvel]
    parts += [physics.bind(field)[:, 1:].flatten(1) for field in ("cinert", "cvel")]
    parts += [physics.bind("qfrc_actuator")[:, 6:], physics.bind("cfrc_ext")[:, 1:].flatten(1)]
    return torch.cat(parts, -1)


def reset_body(physics: Physics, ids: Tensor, rng: Streams, init_qpos: Tensor) -> None:
    """The default posture, positions and velocities off by up to 0.01."""
    physics.qpos[ids] = init_qpos + rng.uniform(-1e-2, 1e-2, physics.model.nq)
    physics.qvel[ids] = rng.uniform(-1e-2, 1e-2, physics.model.nv)


class Humanoid(Task):
    """Walk towards +x. Ends when the torso leaves its range of height."""

    id = "Humanoid-v5"
    xml = "humanoid.xml"
    frame_skip = 5
    derived = ("xipos", *BODY_FIELDS)
    camera = Camera(track="torso", distance=4.0)

    def __init__(self) -> None:
        super().__init__()
        mass = torch.from_numpy(self.model.body_mass.copy())
        self.share_of_mass = mass / mass.sum()

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Standing, off by up to 0.01."""
        reset_body(physics, ids, rng, self.init_qpos)

    def observe(self, physics: Physics) -> Tensor:
        """The whole body's state [N, 348]."""
        return observe_body(physics)

    def before(self, physics: Physics) -> Tensor:
        """x of the centre of mass [N]."""
        return physics.bind("xipos")[:, :, 0] @ self.share_of_mass

    def reward(self, physics: Physics, action: Tensor, before: Tensor, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Forward speed x 1.25, 5 for not falling, less the costs of control and of contact."""
        forward = 1.25 * (self.before(physics) - before) / self.dt
        survive = 5 * (~terminated).double()
        ctrl = -0.1 * squared_sum(physics.ctrl)
        contact = -(5e-7 * squared_sum(physics.bind("cfrc_ext").flatten(1))).clamp(max=10)
        terms = {"reward_survive": survive, "reward_forward": forward, "reward_ctrl": ctrl, "reward_contact": contact}
        return forward + survive + ctrl + contact, terms

    def terminated(self, physics: Physics) -> Tensor:
        """Unless the torso is between 1 m and 2 m."""
        height = physics.qpos[:, 2]
        return ~((height > 1.0) & (height < 2.0))
