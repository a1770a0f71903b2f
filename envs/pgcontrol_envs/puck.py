"""A disc on a plane, pushed by two force motors: several tasks use this body."""

from pgcontrol_envs.arrays import Array, norm, stack, where
from pgcontrol_envs.task import Physics, Streams, Task, Terms


class Puck(Task):
    """The common part of tasks with assets/puck.xml: the disc's state, its start, and how demonstrators steer it.

    One kilogram, radius 0.06 m. A full push is 8 N and drag is 2 N·s/m, so the disc accelerates by up to 8 m/s² and
    reaches at most 4 m/s. Actions are the pushes along x and y as fractions of the full push. At 10 Hz, one action
    changes the speed by up to 0.7 m/s, so its effect is visible in the next observation. The two axes are independent
    and contacts are computed from positions, so mirrored pushes (or pushes turned by 90°) give exactly the mirrored (or
    turned) path: no route has an unintended advantage.

    Attributes:
        start: start position of the disc, m; each coordinate varies by up to `scatter`.
        pace: start speed along x, which demonstrators keep, m/s; both speeds vary by up to `scatter`.
        push: the full push of assets/puck.xml that demonstrators assume, N.
        drag: the drag of assets/puck.xml that demonstrators assume, N·s/m.
    """

    frame_skip = 50
    start = (0.0, 0.0)
    pace = 0.0
    scatter = 0.02
    push, drag = 8.0, 2.0

    def bind(self, physics: Physics) -> None:
        """Keep views of the disc's position and velocity [N, 2], of x and y, and the radius."""
        super().bind(physics)
        self.place, self.x, self.y = physics.qpos, physics.qpos[:, 0], physics.qpos[:, 1]
        self.radius = float(self.model.geom("puck").size[0])

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Start near `start` with about `pace`."""
        drawn = rng.uniform(-self.scatter, self.scatter, 4)
        for column, middle in enumerate((*self.start, self.pace)):
            drawn[:, column] += middle
        physics.qpos[ids], physics.qvel[ids] = drawn[:, :2], drawn[:, 2:]

    def position(self) -> Array:
        """The disc's position [N, 2], m."""
        return self.place

    def before(self) -> Array | None:
        return self.x

    def crossing_reward(self, action: Array, before: Array, terminated: Array, through: Array) -> tuple[Array, Terms]:
        """Progress along x in m, 5 for an end behind the passage, −1 for any other end, minus the control cost."""
        progress, ctrl = self.x - before, -0.01 * (action**2).sum(-1)
        finish, crash = 5.0 * (terminated & through), -1.0 * (terminated & ~through)
        terms = {"reward_progress": progress, "reward_finish": finish, "reward_crash": crash, "reward_ctrl": ctrl}
        return progress + finish + crash + ctrl, terms

    def steer(self, target: Array, noise: Array, within: Array | float = 0.15) -> Array:
        """The pushes [N, 2] that keep the pace along x and move the disc to y = target [N], m.

        Across, the controller aims at the speed that covers the distance in `within` seconds, as far as the push
        allows. It adds 0.01 · noise [N, 2] along x and 0.03 · noise along y.
        """
        along = self.drag * self.pace + 5.0 * (self.pace - self.velocity[:, 0])
        wanted = (target - self.y) / within
        across = self.drag * wanted + 8.0 * (wanted - self.velocity[:, 1])
        return stack(along / self.push + 0.01 * noise[:, 0], across / self.push + 0.03 * noise[:, 1]).clip(-1.0, 1.0)


def touches(place: Array, centre: Array, half: Array, radius: float) -> Array:
    """Whether discs with this radius at place [N, 2] touch a box with half-sizes half [2] at centre [2], bool [N]."""
    beyond = abs(place - centre) - half
    return norm(where(beyond > 0, beyond, 0.0)) < radius


def passing(last: Array, place: Array, centres: Array) -> Array:
    """The smallest distance of points centres [K, 2] from the straight path from last to place [N, 2]: [N, K]."""
    # x and y separately: twice as fast as sums over a last dimension of size 2
    dx, dy = place[:, :1] - last[:, :1], place[:, 1:] - last[:, 1:]
    ax, ay = centres[:, 0] - last[:, :1], centres[:, 1] - last[:, 1:]
    share = ((dx * ax + dy * ay) / (dx**2 + dy**2).clip(1e-30, None)).clip(0.0, 1.0)
    return ((ax - share * dx) ** 2 + (ay - share * dy) ** 2) ** 0.5
