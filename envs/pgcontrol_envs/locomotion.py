"""What bodies that are paid for their speed have in common."""

from abc import abstractmethod
from typing import ClassVar

from pgcontrol_envs.arrays import Array, join, within
from pgcontrol_envs.task import Physics, Task, Terms


class Healthy(Task):
    """A body that is paid for not falling: where it is healthy.

    Attributes:
        healthy_reward: for each step that ends in a healthy state.
        terminate_when_unhealthy: whether an episode ends in a state that is not healthy.
        healthy_z_range: heights of the torso in which the body is healthy, m.
    """

    settings = ("healthy_reward", "terminate_when_unhealthy", "healthy_z_range")
    healthy_reward: ClassVar[float] = 1.0
    terminate_when_unhealthy: ClassVar[bool] = True
    healthy_z_range: ClassVar[tuple[float, float]]

    @abstractmethod
    def healthy(self) -> Array:
        """Which envs are in a healthy state, bool [N]."""

    def survive(self, terminated: Array) -> Array:
        """What not falling is worth [N], given what terminated() says of the same states."""
        return self.healthy_reward * (~terminated if self.terminate_when_unhealthy else self.healthy())

    def terminated(self) -> Array | None:
        """Where the body is not healthy, if that ends an episode."""
        return ~self.healthy() if self.terminate_when_unhealthy else None


class Locomotion(Task):
    """Speed along x, less the cost of control: reward = forward_reward_weight · Δx/Δt − ctrl_cost_weight · |action|².

    Attributes:
        forward_reward_weight: the factor of the speed.
        ctrl_cost_weight: the factor of |action|².
    """

    settings = (
        "forward_reward_weight",
        "ctrl_cost_weight",
        "reset_noise_scale",
        "exclude_current_positions_from_observation",
    )
    unobserved = 1
    forward_reward_weight: ClassVar[float] = 1.0
    ctrl_cost_weight: ClassVar[float]

    def bind(self, physics: Physics) -> None:
        """x, too."""
        super().bind(physics)
        self.x = physics.qpos[:, 0]

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed, less the cost of control."""
        forward, ctrl = self.forward_and_control(action, before)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}

    def forward_and_control(self, action: Array, before: Array) -> tuple[Array, Array]:
        """What speed is worth and what control costs (negative), [N] each."""
        forward = self.forward_reward_weight * (self.x - before) / self.dt
        return forward, -self.ctrl_cost_weight * (action**2).sum(-1)


class Upright(Healthy, Locomotion):
    """Speed along x, and a reward for each healthy step, less the cost of control."""

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed, what not falling is worth, less the cost of control."""
        forward, ctrl = self.forward_and_control(action, before)
        survive = self.survive(terminated)
        return forward + survive + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl, "reward_survive": survive}


class Planar(Upright):
    """A body in a vertical plane whose torso is to stay up and level: Hopper and Walker2d.

    Attributes:
        healthy_angle_range: tilts of the torso in which the body is healthy, rad.
    """

    settings = ("healthy_angle_range",)
    frame_skip = 4
    reset_noise = 5e-3
    ctrl_cost_weight = 1e-3
    healthy_angle_range: ClassVar[tuple[float, float]]

    def bind(self, physics: Physics) -> None:
        """Height and angle of the torso, too."""
        super().bind(physics)
        self.height, self.angle = physics.qpos[:, 1], physics.qpos[:, 2]

    def observe(self) -> Array:
        """Positions, velocities within ±10."""
        return join(self.posture, self.velocity.clip(-10, 10))

    def healthy(self) -> Array:
        """Height and tilt are within their ranges."""
        return within(self.height, self.healthy_z_range) & within(self.angle, self.healthy_angle_range)
