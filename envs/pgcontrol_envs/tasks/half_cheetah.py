"""HalfCheetah: a planar two-legged runner, rewarded for speed (Wawrzyński 2009; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms


class HalfCheetah(Task):
    """Run forwards. Never terminates."""

    id = "HalfCheetah-v5"
    xml = "half_cheetah.xml"
    frame_skip = 5
    camera = Camera(track="torso", distance=4.0)

    def bind(self, physics: Physics) -> None:
        """x, the other positions, velocities."""
        self.x, self.posture, self.velocity = physics.qpos[:, 0], physics.qpos[:, 1:], physics.qvel

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Positions off by up to 0.1, velocities normal with deviation 0.1."""
        physics.qpos[ids] += rng.uniform(-0.1, 0.1, self.model.nq)
        physics.qvel[ids] = 0.1 * rng.normal(self.model.nv)

    def observe(self) -> Array:
        """Positions without x, velocities [N, 17]."""
        return join(self.posture, self.velocity)

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Forward speed less the cost of control."""
        forward = (self.x - before) / self.dt
        ctrl = -0.1 * (action**2).sum(-1)
        return forward + ctrl, {"reward_forward": forward, "reward_ctrl": ctrl}
