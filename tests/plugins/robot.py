"""A user's robot: this file and robot.xml, with only pgcontrol installed."""

import numpy as np
from pgcontrol_envs.task import Array, Physics, Task, Terms


class Robot(Task):
    """Slide forward, upright."""

    id = "Robot-v0"
    xml = "robot.xml"
    frame_skip = 2
    time_limit = 100
    reset_noise = 0.01

    def bind(self, physics: Physics) -> None:
        self.qpos, self.qvel = physics.qpos, physics.qvel

    def observe(self) -> Array:
        return np.concatenate([self.qpos, self.qvel], -1)

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        speed, upright = self.qvel[:, 0].copy(), np.cos(self.qpos[:, 1])
        return speed + upright, {"reward_speed": speed, "reward_upright": upright}
