"""Swimmer: a three-link snake in a viscous fluid, rewarded for speed (Coulom 2002; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms


class Swimmer(Task):
    """Swim towards +x. Never terminates."""

    id = "Swimmer-v5"
    xml = "swimmer.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=5.0, elevation=-60.0)

    def bind(self, physics: Physics) -> None:
        """x, the positions but x and y, velocities."""
        self.x, self.posture, self.velocity = physics.qpos[:, 0], physics.qpos[:, 2:], physics.qvel

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Positions and velocities off by up to 0.1."""
        position, velocity = rng.uniforms(-0.1, 0.1, self.model.nq, self.model.nv)
        physics.qpos[ids] += position
        physics.qvel[ids] = velocity

    def observe(self) -> Array:
        """Positions without x and y, velocities [N, 8]."""
        return join(self.posture, self.velocity)

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed less the cost of control."""
        forward = (self.x - before) / self.dt
        ctrl = -1e-4 * (action**2).sum(-1)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}
