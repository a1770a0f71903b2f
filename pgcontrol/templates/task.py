"""A task of your own: a crane brings its load to the middle of the rail and stops its swing.

The base class Task in pgcontrol_envs/task.py documents all methods, including optional ones.
"""

from pgcontrol_envs.arrays import Array, cos, join, sin
from pgcontrol_envs.task import Camera, Physics, Streams, Task, Terms


class Crane(Task):
    """Bring the load to x = 0 and keep it there. Ends at the end of the rail. Observes [N, 6]."""

    id = "template"  # the name in `pgcontrol train ...`
    xml = "task.xml"  # the model, in the folder of this file
    frame_skip = 4  # physics steps per action: 4 x 0.005 s, so 50 actions per second
    time_limit = 250  # actions until an episode is truncated: 5 s
    camera = Camera(distance=5.0, elevation=-10.0, lookat=(0.0, 0.0, 1.0))

    def bind(self, physics: Physics) -> None:
        """Keep live views of the state. N environments are simulated at once, so every view is [N, ...]."""
        self.place, self.swing = physics.qpos[:, 0], physics.qpos[:, 1]  # m, rad
        self.velocity = physics.qvel  # [N, 2]: m/s, rad/s

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Start new episodes in the environments `ids` [n]; take random numbers from rng, which returns [n, ...]."""
        physics.qpos[ids, :1] = rng.uniform(-1.5, 1.5, 1)
        physics.qpos[ids, 1:] = rng.uniform(-0.2, 0.2, 1)

    def observe(self) -> Array:
        """The policy's observation, float64 [N, O]; not a view of the state, but a new array, as from `join`."""
        position = self.place[:, None]
        angle = self.swing[:, None]
        return join(position, sin(angle), cos(angle), self.velocity, position - sin(angle))

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """The reward of the step, [N], and its terms by name: their sum is the reward, and each is logged."""
        terms = {
            "reward_place": 1.0 - abs(self.place - sin(self.swing)),  # the load's distance from the middle, m
            "reward_still": -0.1 * (self.velocity**2).sum(-1),
            "reward_effort": -0.01 * (1.0 * action**2).sum(-1),
        }
        return terms["reward_place"] + terms["reward_still"] + terms["reward_effort"], terms

    def terminated(self) -> Array:
        """Which environments are in a state that ends the episode, bool [N]: the trolley has left the rail."""
        return abs(self.place) > 2.0
