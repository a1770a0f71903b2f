"""Reacher: a two-joint arm in the plane, rewarded for a tip near a random target (Gymnasium's v5)."""

import numpy as np

from pgcontrol_envs.arrays import Array, cos, join, norm, sin
from pgcontrol_envs.task import Camera, Mirror, Physics, Reflection, Streams, Task, Terms


class Reacher(Task):
    """Bring the fingertip to the target. Never terminates.

    Attributes:
        reward_dist_weight: factor of the distance.
        reward_control_weight: factor of |action|².
    """

    id = "Reacher-v5"
    xml = "reacher.xml"
    settings = ("reward_dist_weight", "reward_control_weight")
    frame_skip = 2
    time_limit = 50
    reward_dist_weight = 1.0
    reward_control_weight = 1.0
    derived = ("xpos",)
    camera = Camera(distance=0.8, elevation=-90.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of joint angles, velocities, the target in qpos, and the positions of fingertip and target."""
        self.theta, self.target, self.velocity = physics.qpos[:, :2], physics.qpos[:, 2:], physics.qvel[:, :2]
        self.tip, self.goal = (physics.bind("xpos")[:, self.body(name)] for name in ("fingertip", "target"))

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Joints within ±0.1 rad, nearly at rest; the target uniform in a disc of radius 0.2 m."""
        physics.qpos[ids] += rng.uniform(-0.1, 0.1, self.model.nq)
        physics.qpos[ids, 2:] = rng.until(lambda goal: norm(goal) < 0.2, lambda some: some.uniform(-0.2, 0.2, 2))
        physics.qvel[ids] = rng.uniform(-5e-3, 5e-3, self.model.nv)
        physics.qvel[ids, 2:] = 0

    def observe(self) -> Array:
        """Cosines and sines of the joints, target, joint velocities, fingertip − target in the plane [N, 10]."""
        return join(cos(self.theta), sin(self.theta), self.target, self.velocity, (self.tip - self.goal)[:, :2])

    def reflection(self) -> Reflection:
        """Left for right; the arm is its own image when it is straight and the target is in front of it."""
        return Reflection(self.model, pose=np.zeros(self.model.nq))

    def mirror(self) -> Mirror:
        """Angles, their sines and speeds, and y change their signs."""
        return Mirror((tuple(range(10)), (1, 1, -1, -1, 1, -1, -1, -1, 1, -1)), self.reflection().controls)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """Minus the distance, minus the control cost."""
        dist = -self.reward_dist_weight * norm(self.tip - self.goal)
        ctrl = -self.reward_control_weight * (action**2).sum(-1)
        return dist + ctrl, {"reward_dist": dist, "reward_ctrl": ctrl}
