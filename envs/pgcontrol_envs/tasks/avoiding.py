"""Avoiding: cross three rows of obstacles through any of the gaps (after D3IL, Jia et al. 2024, arXiv 2402.14606)."""

from itertools import product
from math import tau

import numpy as np

from pgcontrol_envs.arrays import Array, cos, join, sin, where
from pgcontrol_envs.puck import Puck, passing
from pgcontrol_envs.task import Camera, Physics, Streams, Terms

ROWS = 1, 2, 3  # obstacles in each row: a row of k has k + 1 gaps


class Avoiding(Puck):
    """Reach the finish line behind three rows of obstacles. Ends there, at an obstacle, or outside the field.

    The experiment: rows of one, two and three obstacles leave 2, 3 and 4 gaps, and every sequence of gaps is a route:
    24 of them, as in D3IL's task with a Franka arm. Gaps are numbered from the left, so "2-1-4" is right of the first
    obstacle, left of the second row and right of the third. After each row, the same position has several good
    continuations. So a policy that averages meets an obstacle in every row, and a policy that has collapsed knows only
    one route.

    Measure: success rate, and the entropy of the routes of the successful episodes, in units of log 24 (1: all
    routes equally often; 0: always the same one); see pgcontrol.measures.routes.route_entropy.
    """

    id = "Avoiding-v0"
    xml = "avoiding.xml"
    time_limit = 100
    routes = tuple("-".join(map(str, gaps)) for gaps in product(*(range(1, k + 2) for k in ROWS)))
    camera = Camera(distance=5.1, elevation=-70.0, lookat=(-0.35, 0.0, 0.0))
    start = (-2.48, 0.0)
    pace = 1.6

    def bind(self, physics: Physics) -> None:
        """Keep views of the disc's state, the obstacles' positions [6, 2], and the memory in userdata.

        The memory: y of the last crossing of each row [N, 3], the position a step ago [N, 2], and crashes [N].
        """
        super().bind(physics)
        rows = [[self.model.geom(f"row {r}, {k + 1}") for k in range(size)] for r, size in enumerate(ROWS, 1)]
        # for each row: x, and y of its obstacles from the left
        self._rows = [(float(row[0].pos[0]), [float(geom.pos[1]) for geom in row]) for row in rows]
        self.rows = physics.array(np.array([x for x, _ in self._rows]))
        self.obstacles = physics.array(np.array([geom.pos[:2] for row in rows for geom in row]))
        self._clear = float(rows[0][0].size[0]) + self.radius
        # distances between rows, and between the obstacles of a row, m
        self.spacing = physics.array(np.array(rows[1][0].pos[:2] - [rows[0][0].pos[0], rows[1][1].pos[1]]))
        finish, memory = self.model.geom("finish"), physics.userdata
        self._finish, self._width = float(finish.pos[0]), float(finish.size[1])
        self.crossed, self.last, self.crashed = memory[:, :3], memory[:, 3:5], memory[:, 5]
        self.columns = self.place[:, :1], self.place[:, 1:]
        self.last_columns = self.last[:, :1], self.last[:, 1:]

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Start as the disc does; no row has been crossed."""
        super().reset(physics, ids, rng)
        physics.userdata[ids, 3:5] = physics.qpos[ids]

    def observe(self) -> Array:
        """Position and velocity, and the position as phases between rows and between obstacles [N, 8].

        The phases add resolution: a step covers a tenth of the distance between rows, and must be visible.
        """
        phase = tau / self.spacing * self.place
        return join(self.place, self.velocity, cos(phase), sin(phase))

    def remember(self) -> None:
        """Store crossings and crashes on the path of this step, because a step can jump past an obstacle or a row."""
        (x, y), (last_x, last_y) = self.columns, self.last_columns
        crossing = (last_x < self.rows) & (x >= self.rows)
        share = (self.rows - last_x) / where(crossing, x - last_x, 1.0)
        self.crossed[:] = where(crossing, last_y + share * (y - last_y), self.crossed)
        hit = (passing(self.last, self.place, self.obstacles) < self._clear).any(-1)
        self.crashed[:] = where(hit, 1.0, self.crashed)
        self.last[:] = self.place

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Progress in m, 5 at the finish, −1 for a crash, minus the control cost."""
        return self.crossing_reward(action, before, terminated, self._through())

    def terminated(self) -> Array:
        """At the finish, after a crash, or outside the field."""
        inside = (abs(self.y) < self._width - self.radius) & (self.x > -2.8 + self.radius) & (self.x < self._finish)
        return ~inside | (self.crashed > 0)

    def route(self) -> Array:
        """The gaps that were used, as an index of `routes`; -1 before the finish."""
        index = 0
        for r, (_, ys) in enumerate(self._rows):
            index = index * (len(ys) + 1) + sum(1 * (self.crossed[:, r] < y) for y in ys)
        return where(self._through(), index, -1)

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Constant pace. From each row, head straight for the next gap, and reach its y 0.3 m before it."""
        pitch = self.spacing[1]
        target, left, rest = self.y / pitch, 0.0 * self.x + 1.0, route
        for x, ys in reversed(self._rows):
            gap, rest = rest % (len(ys) + 1), rest // (len(ys) + 1)
            ahead = self.x < x + self.pace * self.dt  # one step after a row, the next row becomes the target
            target = where(ahead, 0.5 * len(ys) - gap + 0.0 * self.y, target)
            left = where(ahead, (x - 0.3 - self.x) / self.pace, left)
        return self.steer(pitch * target, noise, left.clip(0.15, 1.0))

    def _through(self) -> Array:
        """Whether the disc has crossed the finish line without a crash, bool [N]."""
        return (self.x >= self._finish) & (abs(self.y) < self._width - self.radius) & (self.crashed == 0)
