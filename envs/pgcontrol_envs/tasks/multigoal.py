"""MultiGoal: a disc and four goals around it (Haarnoja et al. 2017, arXiv 1702.08165, section 5.1)."""

from pgcontrol_envs.arrays import Array, least, norm, where
from pgcontrol_envs.puck import Puck
from pgcontrol_envs.task import Camera, Physics, Terms

UNIT = 0.2  # m per unit of length of the task; in units, the goals are at (±5, 0) and (0, ±5)


class MultiGoal(Puck):
    """Go to any of four goals. Ends within one unit of a goal.

    The experiment: four equally good goals in a ring around the start, and a plateau between them where every
    direction is as good as its opposite. The reward is that of soft Q-learning's task: minus the squared distance to
    the nearest goal, a quadratic control cost, and a bonus at a goal. Their action is a velocity, ours a push. A
    unimodal head must give up three of the goals to reach the fourth, and does. A head with several modes, with an
    entropy bonus or after cloning, can keep all four at the start.

    Measure: success rate, and the entropy over the goals that were reached.
    """

    id = "MultiGoal-v0"
    xml = "multigoal.xml"
    time_limit = 30
    routes = ("east", "north", "west", "south")
    camera = Camera(distance=3.4, elevation=-70.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of the disc's state, and the positions of the goals [4, 2]."""
        super().bind(physics)
        goals = [self.model.geom(name) for name in self.routes]
        self.goals = physics.array(self.model.geom_pos[[goal.id for goal in goals], :2])
        self._reach = float(goals[0].size[0])

    def before(self) -> None:
        """None: the reward depends only on the state after the step."""
        return None

    def distances(self) -> Array:
        """The distance from each goal, m [N, 4]."""
        return norm(self.place[:, None] - self.goals)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """−0.02 times the squared distance to the nearest goal in units, plus 10 at a goal, minus 0.1 |action|²."""
        dist, ctrl = -0.02 * (least(self.distances()) / UNIT) ** 2, -0.1 * (action**2).sum(-1)
        goal = 10.0 * terminated
        return dist + goal + ctrl, {"reward_dist": dist, "reward_goal": goal, "reward_ctrl": ctrl}

    def terminated(self) -> Array:
        """Whether the disc is at a goal."""
        return (self.distances() < self._reach).any(-1)

    def route(self) -> Array:
        """The goal at which the disc is; -1 if at none."""
        distances = self.distances()
        return where((distances < self._reach).any(-1), distances.argmin(-1), -1)

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Go straight to the goal, like a damped spring."""
        return ((8.0 * (self.goals[route] - self.place) - 3.0 * self.velocity) / self.push + 0.1 * noise).clip(-1, 1)
