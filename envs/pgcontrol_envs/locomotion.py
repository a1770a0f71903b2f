"""The common part of bodies that are rewarded for their speed."""

from abc import abstractmethod
from typing import ClassVar

from pgcontrol_envs.arrays import Array, join, within
from pgcontrol_envs.task import Physics, Task, Terms


class Healthy(Task):
    """A body that is rewarded for being in a healthy state, that is, for not having fallen.

    Attributes:
        healthy_reward: reward of each step that ends in a healthy state.
        terminate_when_unhealthy: whether an unhealthy state ends the episode.
        healthy_z_range: heights of the torso in a healthy state, m.
    """

    settings = ("healthy_reward", "terminate_when_unhealthy", "healthy_z_range")
    healthy_reward: ClassVar[float] = 1.0
    terminate_when_unhealthy: ClassVar[bool] = True
    healthy_z_range: ClassVar[tuple[float, float]]

    @abstractmethod
    def healthy(self) -> Array:
        """Whether each env is in a healthy state, bool [N]."""

    def survive(self, terminated: Array) -> Array:
        """The reward for being healthy [N]; `terminated` is the result of terminated() in the same states."""
        return self.healthy_reward * (~terminated if self.terminate_when_unhealthy else self.healthy())

    def terminated(self) -> Array | None:
        """Where the body is not healthy, if that ends an episode; else None."""
        return ~self.healthy() if self.terminate_when_unhealthy else None


class Locomotion(Task):
    """Speed along x minus a control cost: reward = forward_reward_weight · Δx/Δt − ctrl_cost_weight · |action|².

    Attributes:
        forward_reward_weight: factor of the speed.
        ctrl_cost_weight: factor of |action|².
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
        """Also keeps a view of x."""
        super().bind(physics)
        self.x = physics.qpos[:, 0]

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed minus the control cost."""
        forward, ctrl = self.forward_and_control(action, before)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}

    def forward_and_control(self, action: Array, before: Array) -> tuple[Array, Array]:
        """The reward for speed, and the control cost (negative), [N] each."""
        forward = self.forward_reward_weight * (self.x - before) / self.dt
        return forward, -self.ctrl_cost_weight * (action**2).sum(-1)


class Upright(Healthy, Locomotion):
    """Speed along x, plus a reward for each healthy step, minus a control cost."""

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed, plus the reward for being healthy, minus the control cost."""
        forward, ctrl = self.forward_and_control(action, before)
        survive = self.survive(terminated)
        return forward + survive + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl, "reward_survive": survive}


class Planar(Upright):
    """A body in a vertical plane whose torso must stay up and level: Hopper and Walker2d.

    Attributes:
        healthy_angle_range: tilts of the torso in a healthy state, rad.
    """

    settings = ("healthy_angle_range",)
    frame_skip = 4
    reset_noise = 5e-3
    ctrl_cost_weight = 1e-3
    healthy_angle_range: ClassVar[tuple[float, float]]

    def bind(self, physics: Physics) -> None:
        """Also keeps views of the torso's height and angle."""
        super().bind(physics)
        self.height, self.angle = physics.qpos[:, 1], physics.qpos[:, 2]

    def observe(self) -> Array:
        """Positions, and velocities clipped to ±10."""
        return join(self.posture, self.velocity.clip(-10, 10))

    def healthy(self) -> Array:
        """Whether height and tilt are within their ranges."""
        return within(self.height, self.healthy_z_range) & within(self.angle, self.healthy_angle_range)
