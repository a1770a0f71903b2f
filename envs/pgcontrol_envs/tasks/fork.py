"""Fork: drive past an obstacle on the left or on the right."""

from pgcontrol_envs.arrays import Array, where
from pgcontrol_envs.puck import Puck, touches
from pgcontrol_envs.task import Camera, Physics, Terms


class Fork(Puck):
    """Reach the finish line behind an obstacle. Ends there, when the disc touches the obstacle or leaves the field.

    The experiment: two routes are equally good, and their mean is blocked. A demonstrator drives at 1.6 m/s
    straight at the obstacle and, in the first step behind the yellow line, pushes to one side with full force. Four
    such steps clear the obstacle, three do not, and then the obstacle is reached. So the action in this step has two
    modes, ±1, and the observation does not show which one is next. A unimodal head that is fitted by maximum likelihood
    has its mean between them and drives on; noise and feedback move it to a side later, one step too late. A head with
    several modes draws one of them, and after that step the sideways speed (0.7 m/s) shows which. With policy gradients
    every head learns the task, by preferring one side or by braking; the entropy over routes measures whether both
    sides stay in use.

    Measure: success rate, entropy over the two routes, and the probability of `blocked` actions at the line.

    Attributes:
        line: x where the demonstrator turns, m: in the middle of the third step.
    """

    id = "Fork-v0"
    xml = "fork.xml"
    time_limit = 60
    routes = ("left", "right")
    camera = Camera(distance=3.3, elevation=-65.0, lookat=(-0.28, 0.0, 0.0))
    start = (-1.22, 0.0)
    pace = 1.6
    line = -0.82

    def bind(self, physics: Physics) -> None:
        """Keep views of the disc's state, and the positions of obstacle and finish line."""
        super().bind(physics)
        obstacle, finish = self.model.geom("obstacle"), self.model.geom("finish")
        self.centre, self.half = physics.array(obstacle.pos[:2]), physics.array(obstacle.size[:2])
        self._finish, self._width = float(finish.pos[0]), float(finish.size[1])

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Progress in m, 5 at the finish, −1 for a crash, minus the control cost."""
        return self.crossing_reward(action, before, terminated, self.x >= self._finish)

    def terminated(self) -> Array:
        """At the finish, in contact with the obstacle, or outside the field."""
        inside = (abs(self.y) < self._width - self.radius) & (self.x > -1.78 + self.radius) & (self.x < self._finish)
        return ~inside | touches(self.place, self.centre, self.half, self.radius)

    def route(self) -> Array:
        """0 left (y > 0), 1 right; -1 before the finish."""
        through = (self.x >= self._finish) & (abs(self.y) < self._width - self.radius)
        return where(through, 1 * (self.y <= 0), -1)

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Constant pace along the middle; behind the line, towards the side of the route."""
        side = where(self.x < self.line, 0.0 * self.y, 1.0 - 2.0 * route + 0.0 * self.y)
        return self.steer(0.58 * side, noise)

    def deciding(self) -> Array:
        """Whether the disc is within one step behind the line, near the middle, and drives ahead."""
        ahead = (self.x >= self.line) & (self.x < self.line + self.pace * self.dt) & (self.velocity[:, 0] > 1.0)
        return ahead & (abs(self.y) < 0.05) & (abs(self.velocity[:, 1]) < 0.1)

    def blocked(self, action: Array) -> Array:
        """Less than half a push to either side: at this pace, no later push can compensate."""
        return abs(action[:, 1]) < 0.5
