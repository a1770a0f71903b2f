"""Walker2d: a planar biped, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms


class Walker2d(Task):
    """Walk forwards. Ends when the torso leaves its range of height or tilt."""

    id = "Walker2d-v5"
    xml = "walker2d_v5.xml"
    frame_skip = 4
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """x, height and angle of the torso, all positions but x, velocities."""
        self.x, self.height, self.angle = physics.qpos[:, :3].T
        self.posture, self.velocity = physics.qpos[:, 1:], physics.qvel

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Positions and velocities off by up to 0.005."""
        position, velocity = rng.uniforms(-5e-3, 5e-3, self.model.nq, self.model.nv)
        physics.qpos[ids] += position
        physics.qvel[ids] = velocity

    def observe(self) -> Array:
        """Positions without x, velocities within ±10 [N, 17]."""
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
        """Unless the torso is between 0.8 m and 2 m, tilted by less than 1 rad."""
        return ~((self.height > 0.8) & (self.height < 2.0) & (abs(self.angle) < 1.0))
