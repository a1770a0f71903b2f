"""A disc on a plane, pushed by two force motors: the body that several tasks drive."""

from pgcontrol_envs.arrays import Array, norm, stack, where
from pgcontrol_envs.task import Physics, Streams, Task, Terms


class Puck(Task):
    """What tasks with assets/puck.xml share: the disc's state, its start, and how demonstrators steer it.

    One kilogram, radius 0.06 m; a full push is 8 N, drag is 2 N·s/m, so it gathers speed at up to 8 m/s² and ends at
    4 m/s. Actions are the pushes along x and y as shares of the full one. At 10 Hz one of them is worth 0.7 m/s: what
    an action has chosen can be seen in the next observation. The two axes know nothing of each other and contacts are
    computed from positions, so a push mirrored or turned by a right angle gives the mirrored or turned path to the
    bit: no route has an advantage that was not meant.

    Attributes:
        start: where the disc starts, in m; off by up to `scatter` along either axis.
        pace: its speed along x at the start, which demonstrators keep, in m/s; both speeds are off by up to `scatter`.
        push: the full push of assets/puck.xml, in N, as demonstrators assume it.
        drag: the drag of assets/puck.xml, in N·s/m, as demonstrators assume it.
    """

    frame_skip = 50
    start = (0.0, 0.0)
    pace = 0.0
    scatter = 0.02
    push, drag = 8.0, 2.0

    def bind(self, physics: Physics) -> None:
        """The disc's place and velocity [N, 2], the place's columns, and the radius."""
        super().bind(physics)
        self.place, self.x, self.y = physics.qpos, physics.qpos[:, 0], physics.qpos[:, 1]
        self.radius = float(self.model.geom("puck").size[0])

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Near the start, at about its pace."""
        drawn = rng.uniform(-self.scatter, self.scatter, 4)
        for column, middle in enumerate((*self.start, self.pace)):
            drawn[:, column] += middle
        physics.qpos[ids], physics.qvel[ids] = drawn[:, :2], drawn[:, 2:]

    def position(self) -> Array:
        """The disc's place [N, 2]."""
        return self.place

    def before(self) -> Array | None:
        """x [N]."""
        return self.x

    def crossing_reward(self, action: Array, before: Array, terminated: Array, through: Array) -> tuple[Array, Terms]:
        """Metres of progress along x, 5 for an end behind the way through, −1 for another, less the cost of control."""
        progress, ctrl = self.x - before, -0.01 * (action**2).sum(-1)
        finish, crash = 5.0 * (terminated & through), -1.0 * (terminated & ~through)
        terms = {"reward_progress": progress, "reward_finish": finish, "reward_crash": crash, "reward_ctrl": ctrl}
        return progress + finish + crash + ctrl, terms

    def steer(self, target: Array, noise: Array, within: Array | float = 0.15) -> Array:
        """The pushes [N, 2] that keep the pace along x and bring the disc across to the place target [N] in m.

        Across, the speed that covers the rest `within` so many seconds is sought in one step, as far as the push
        allows. A hundredth of noise [N, 2] is added along x, three along y.
        """
        along = self.drag * self.pace + 5.0 * (self.pace - self.velocity[:, 0])
        wanted = (target - self.y) / within
        across = self.drag * wanted + 8.0 * (wanted - self.velocity[:, 1])
        return stack(along / self.push + 0.01 * noise[:, 0], across / self.push + 0.03 * noise[:, 1]).clip(-1.0, 1.0)


def touches(place: Array, centre: Array, half: Array, radius: float) -> Array:
    """Whether discs of that radius at place [N, 2] touch a box of half-sides half [2] around centre [2], bool [N]."""
    beyond = abs(place - centre) - half
    return norm(where(beyond > 0, beyond, 0.0)) < radius


def passing(last: Array, place: Array, centres: Array) -> Array:
    """The least distance from points centres [K, 2] on the straight way from last to place [N, 2]: [N, K]."""
    # x and y apart: half the time of sums over a last dimension of two
    dx, dy = place[:, :1] - last[:, :1], place[:, 1:] - last[:, 1:]
    ax, ay = centres[:, 0] - last[:, :1], centres[:, 1] - last[:, 1:]
    share = ((dx * ax + dy * ay) / (dx**2 + dy**2).clip(1e-30, None)).clip(0.0, 1.0)
    return ((ax - share * dx) ** 2 + (ay - share * dy) ** 2) ** 0.5
