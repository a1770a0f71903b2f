"""Avoiding: cross three rows of obstacles, by whichever gaps (after D3IL, Jia et al. 2024, arXiv 2402.14606)."""

from itertools import product

from pgcontrol_envs.arrays import Array, norm, where
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.puck import Puck
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Terms

ROWS = 1, 2, 3
"""Obstacles in each row: a row of k has k + 1 gaps."""


class Avoiding(Puck):
    """Reach the finish line behind three rows of obstacles. Ends there, and at an obstacle or outside the field.

    The experiment: rows of one, two and three obstacles leave 2, 3 and 4 gaps, and every sequence of gaps is a way
    through: 24 of them, as in D3IL's task with a Franka arm. Gaps count from the left, so "2-1-4" is right of the first
    obstacle, left of the second row and right of the third. After each row the same place has several good
    continuations, so that a policy which averages meets an obstacle in every row, and one that has collapsed knows one
    way only.

    Measure: rate of success, and the entropy over the 24 routes of the successful episodes, in units of log 24 (1: all
    used alike; 0: always the same one); see pgcontrol_envs.demonstrators.route_entropy.
    """

    id = "Avoiding-v0"
    xml = "avoiding.xml"
    time_limit = 200
    routes = tuple("-".join(map(str, gaps)) for gaps in product(*(range(1, k + 2) for k in ROWS)))
    camera = Camera(distance=3.6, elevation=-60.0, lookat=(-0.3, 0.0, 0.0))
    start = (-1.5, 0.0)
    recommended = {
        "": {"total_steps": 300_000, "rollout_steps": 64, "eval_every": 100_000},
        "gaussian": {"head.initial_std": 0.5, "algorithm.learning_rate": 1e-3},
        "binned": {"head.initial_std": 0.5, "algorithm.learning_rate": 1e-3},
    }

    def __init__(self) -> None:
        super().__init__()
        rows = [[self.model.geom(f"row {r}, {k + 1}") for k in range(size)] for r, size in enumerate(ROWS, 1)]
        obstacles = [geom for row in rows for geom in row]
        self._obstacles = self.model.geom_pos[[geom.id for geom in obstacles], :2].copy()
        self._clear = float(obstacles[0].size[0]) + self.radius
        self.row_x = [float(row[0].pos[0]) for row in rows]
        self.row_y = [[float(geom.pos[1]) for geom in row] for row in rows]
        finish = self.model.geom("finish")
        self._finish, self._width = float(finish.pos[0]), float(finish.size[1])

    def bind(self, physics: Physics) -> None:
        """The disc's state, where the obstacles are [6, 2], and where it crossed each row [N, 3]."""
        super().bind(physics)
        self.obstacles, self.crossed = physics.array(self._obstacles), physics.userdata

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """As the disc does; no row is crossed yet."""
        super().reset(physics, ids, rng)
        physics.userdata[ids] = physics.qpos[ids, 1:]

    def remember(self) -> None:
        """Where the disc is across the field, for each row that it has still to cross."""
        for r, x in enumerate(self.row_x):
            self.crossed[:, r] = where(self.x < x, self.y, self.crossed[:, r])

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Metres of progress, 5 at the finish, −1 for a crash, less the cost of control."""
        progress, ctrl = self.x - before, -0.01 * (action**2).sum(-1)
        through = self.x >= self._finish
        finish, crash = 5.0 * (terminated & through), -1.0 * (terminated & ~through)
        terms = {"reward_progress": progress, "reward_finish": finish, "reward_crash": crash, "reward_ctrl": ctrl}
        return progress + finish + crash + ctrl, terms

    def terminated(self) -> Array:
        """Through, or in touch with an obstacle, or out of the field."""
        inside = (abs(self.y) < self._width - self.radius) & (self.x > -1.9 + self.radius) & (self.x < self._finish)
        return ~inside | (norm(self.place[:, None] - self.obstacles) < self._clear).any(-1)

    def route(self) -> Array:
        """The gaps taken, as an index of `routes`; -1 before the finish."""
        index = 0 * (self.x >= 0)
        for r, ys in enumerate(self.row_y):
            gap = sum(1 * (self.crossed[:, r] < y) for y in ys)
            index = index * (len(ys) + 1) + gap
        through = (self.x >= self._finish) & (abs(self.y) < self._width - self.radius)
        return where(through, index, -1)

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Row by row: across to the middle of the gap, waiting in front of the row where that takes long; then through."""
        gaps, rest = [], route
        for size in reversed(ROWS):
            gaps.append(rest % (size + 1))
            rest = rest // (size + 1)
        target, row = 0.0 * self.y, 0.0 * self.x + 10.0
        for x, gap, size in reversed(list(zip(self.row_x, reversed(gaps), ROWS, strict=True))):
            ahead = self.x < x + 0.12
            target, row = where(ahead, 0.3 * size - 0.6 * gap, target), where(ahead, x, row)
        off = abs(self.y - target)
        room = (row - 0.32 - self.x).clip(0.0, 1.0)
        pace = where(off < 0.08, 1.2, (3.0 * room).clip(0.0, 1.2))
        pace = where(row > 5.0, 1.2, pace)
        target = where(row > 5.0, self.y, target)
        return self.steer(target, pace, 0.05 * noise)
