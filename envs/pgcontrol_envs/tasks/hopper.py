"""Hopper: a one-legged planar hopper, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms


class Hopper(Task):
    """Hop forwards. Ends when the torso is low or tilted, or the state beyond bounds."""

    id = "Hopper-v5"
    xml = "hopper.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=3.0)

    def bind(self, physics: Physics) -> None:
        """x, height and angle of the torso, all positions but x and all but x and height, velocities."""
        self.x, self.height, self.angle = physics.qpos[:, :3].T
        self.posture, self.joints, self.velocity = physics.qpos[:, 1:], physics.qpos[:, 2:], physics.qvel

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Positions and velocities off by up to 0.005."""
        position, velocity = rng.uniforms(-5e-3, 5e-3, self.model.nq, self.model.nv)
        physics.qpos[ids] += position
        physics.qvel[ids] = velocity

    def observe(self) -> Array:
        """Positions without x, velocities within ±10 [N, 11]."""
        return join(self.posture, self.velocity.clip(-10, 10))

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed, 1 for not falling, less the cost of control."""
        forward, survive = (self.x - before) / self.dt, 1.0 * ~terminated
        ctrl = -1e-3 * (action**2).sum(-1)
        return forward + survive + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl, "reward_survive": survive}

    def terminated(self) -> Array:
        """Unless the torso is above 0.7 m, tilted by less than 0.2 rad, and all but x and height within ±100."""
        bounded = (abs(join(self.joints, self.velocity)) < 100).all(-1)
        return ~((self.height > 0.7) & (abs(self.angle) < 0.2) & bounded)
