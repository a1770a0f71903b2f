"""Fork: drive past an obstacle straight ahead, left or right of it."""

from pgcontrol_envs.arrays import Array, where
from pgcontrol_envs.puck import Puck, touches
from pgcontrol_envs.task import Camera, Physics, Terms


class Fork(Puck):
    """Reach the finish line behind an obstacle. Ends there, and when the disc touches the obstacle or leaves the field.

    The experiment: two ways equally good, and their mean is the one that is blocked. A demonstrator drives at 1.6 m/s
    straight at the obstacle and, in the first step behind the yellow line, pushes to one side with all its might; four
    such steps clear the obstacle, three do not, and then it is there. So the action in that step has two modes, ±1, and
    nothing in the observation says which is due. A unimodal head fitted by maximum likelihood puts its mean between
    them and drives on; chance and feedback carry it off to a side afterwards, a step too late. A head with modes draws
    one of them, and the step's sideways speed (0.7 m/s) tells it from then on which it drew. Under policy gradients any
    head learns it, by settling on one side or braking; whether both sides stay in use is what the entropy over routes
    measures.

    Measure: rate of success, entropy over the two routes, and the mass of a policy's actions at the line in `blocked`.

    Attributes:
        line: x where the demonstrator turns off, m: in the middle of a step, the fourth.
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
        """The disc's state, and where obstacle and finish line are."""
        super().bind(physics)
        obstacle, finish = self.model.geom("obstacle"), self.model.geom("finish")
        self.centre, self.half = physics.array(obstacle.pos[:2]), physics.array(obstacle.size[:2])
        self._finish, self._width = float(finish.pos[0]), float(finish.size[1])

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Metres of progress, 5 at the finish, −1 for a crash, less the cost of control."""
        return self.crossing_reward(action, before, terminated, self.x >= self._finish)

    def terminated(self) -> Array:
        """Through, or in touch with the obstacle, or out of the field."""
        inside = (abs(self.y) < self._width - self.radius) & (self.x > -1.78 + self.radius) & (self.x < self._finish)
        return ~inside | touches(self.place, self.centre, self.half, self.radius)

    def route(self) -> Array:
        """0 left (y > 0), 1 right; -1 before the finish."""
        through = (self.x >= self._finish) & (abs(self.y) < self._width - self.radius)
        return where(through, 1 * (self.y <= 0), -1)

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """At an even pace along the middle; from the line on, to the route's side."""
        side = where(self.x < self.line, 0.0 * self.y, 1.0 - 2.0 * route + 0.0 * self.y)
        return self.steer(0.58 * side, noise)

    def deciding(self) -> Array:
        """In the step's travel behind the line, near the middle, driving ahead."""
        ahead = (self.x >= self.line) & (self.x < self.line + self.pace * self.dt) & (self.velocity[:, 0] > 1.0)
        return ahead & (abs(self.y) < 0.05) & (abs(self.velocity[:, 1]) < 0.1)

    def blocked(self, action: Array) -> Array:
        """Less than half the push to either side: at this pace no push afterwards makes up for it."""
        return abs(action[:, 1]) < 0.5
