"""A disc on a plane, pushed by two force motors: the body that several tasks drive."""

from pgcontrol_envs.arrays import Array, join, norm, where
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Task


class Puck(Task):
    """What tasks with assets/puck.xml share: the disc's state, its start, and what it has hit.

    One kilogram, radius 0.1 m; a full push is 8 N, drag is 2 N·s/m, so it gathers speed at up to 8 m/s² and ends at
    4 m/s. Actions are the pushes along x and y as shares of the full one, at 20 Hz. The two axes know nothing of each
    other and contacts are told from positions, so a push mirrored or turned by a right angle gives the mirrored or
    turned path to the bit: no route has an advantage that was not meant.
    """

    frame_skip = 25
    start = (0.0, 0.0)
    """Where the disc starts, in m; off by up to `scatter` along either axis."""
    scatter = 0.02
    push, drag = 8.0, 2.0
    """Of assets/puck.xml, in N and N·s/m: what the demonstrators reckon with."""

    def __init__(self) -> None:
        super().__init__()
        self.radius = float(self.model.geom("puck").size[0])

    def bind(self, physics: Physics) -> None:
        """The disc's place and velocity [N, 2], and their columns."""
        self.place, self.velocity = physics.qpos, physics.qvel
        self.x, self.y = physics.qpos[:, 0], physics.qpos[:, 1]

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Near the start, moving at up to 0.02 m/s along either axis."""
        place, velocity = rng.uniforms(-self.scatter, self.scatter, 2, 2)
        place[:, 0] += self.start[0]
        place[:, 1] += self.start[1]
        physics.qpos[ids] = place
        physics.qvel[ids] = (0.02 / self.scatter) * velocity

    def observe(self) -> Array:
        """Place and velocity [N, 4]."""
        return join(self.place, self.velocity)

    def before(self) -> Array:
        """x [N]."""
        return self.x

    def steer(self, target: Array, pace: Array, noise: Array) -> Array:
        """The pushes [N, 2] that bring the disc along x to the speed pace [N], and along y to the place target [N].

        pace in m/s. The push along y is a critically damped spring's, saturating from 0.1 m away; noise [N, 2] is added
        to both.
        """
        speed = self.velocity[:, 0], self.velocity[:, 1]
        along = (self.drag * pace + 12.0 * (pace - speed[0])) / self.push
        across = (80.0 * (target - self.y) - 16.0 * speed[1]) / self.push
        return (join(along[:, None], across[:, None]) + noise).clip(-1.0, 1.0)


def touches(place: Array, centre: Array, half: Array, radius: float) -> Array:
    """Whether discs of that radius at place [N, 2] touch a box of half-sides half [2] around centre [2], bool [N]."""
    beyond = abs(place - centre) - half
    return norm(where(beyond > 0, beyond, 0.0)) < radius
