"""What bodies that are paid for their speed have in common."""

from typing import ClassVar

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.task import Physics, Task, Terms


class Locomotion(Task):
    """Speed along x, less the cost of control, and a reward for each step that does not end in a fall.

    reward = Δx/Δt + healthy_reward · [not terminated] − ctrl_cost · |action|²

    Attributes:
        ctrl_cost: the factor of |action|².
        healthy_reward: for each step; 0 for a body that cannot fall: then there is no such term.
    """

    unobserved = 1
    ctrl_cost: ClassVar[float]
    healthy_reward: ClassVar[float] = 0.0

    def bind(self, physics: Physics) -> None:
        """x, too."""
        super().bind(physics)
        self.x = physics.qpos[:, 0]

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed, what not falling is worth, less the cost of control."""
        forward, ctrl = (self.x - before) / self.dt, -self.ctrl_cost * (action**2).sum(-1)
        terms = {"reward_forward": forward, "reward_ctrl": ctrl}
        if not self.healthy_reward:
            return forward + ctrl, terms
        survive = self.healthy_reward * ~terminated
        return forward + survive + ctrl, terms | {"reward_survive": survive}


class Upright(Locomotion):
    """A planar body whose torso is to stay up: Hopper and Walker2d."""

    frame_skip = 4
    reset_noise = 5e-3
    ctrl_cost = 1e-3
    healthy_reward = 1.0

    def bind(self, physics: Physics) -> None:
        """Height and angle of the torso, too."""
        super().bind(physics)
        self.height, self.angle = physics.qpos[:, 1], physics.qpos[:, 2]

    def observe(self) -> Array:
        """Positions without x, velocities within ±10."""
        return join(self.posture, self.velocity.clip(-10, 10))
