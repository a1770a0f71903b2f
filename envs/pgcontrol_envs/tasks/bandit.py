"""Bandit: one push of a spring-loaded pointer, and a reward with two peaks."""

from math import inf, log

from pgcontrol_envs.arrays import Array, exp, where
from pgcontrol_envs.task import Camera, Physics, Streams, Task, Terms

HALF = (2.0 * log(2.0)) ** 0.5  # half width of a Gaussian at half its height, in standard deviations


class Bandit(Task):
    """Bend a pointer with one torque; the reward depends on where it settles. Ends after one step.

    The experiment: no time, the reward is a function of a single action. A low wide peak (height 0.5, standard
    deviation 0.25) lies near zero torque, where policies start. A high narrow one (height 1, standard deviation 0.08)
    lies 0.8 further on, with a valley of almost no reward between them. Everything is shifted by the scale's angle,
    which is the context and the whole observation. For a Gaussian, policy gradient is hill climbing: it settles on the
    wide peak, since the few samples on the narrow one pull its mean into the valley. A head whose probability can grow
    in one place without passing through the places between moves to the narrow peak, if its first policy reaches it.

    Measure: mean reward (0.5 or 1), the fraction of episodes on each peak, and the probability in the valley
    (`blocked`).

    Attributes:
        places: angles of the peaks on the scale, rad.
        widths: standard deviations of the peaks, rad.
        turn: the scale's angle is uniform in [-turn, turn], rad.
    """

    id = "Bandit-v0"
    xml = "bandit.xml"
    frame_skip = 100
    time_limit = 1
    routes = ("wide", "narrow")
    camera = Camera(distance=1.8, elevation=-89.0, lookat=(0.0, 0.2, 0.0))
    heights = 0.5, 1.0
    places = -0.1, 0.7
    widths = 0.25, 0.08
    turn = 0.2

    def bind(self, physics: Physics) -> None:
        """Keep views of the angles of pointer and scale."""
        self.pointer, self.scale, self.context = physics.qpos[:, 0], physics.qpos[:, 1], physics.qpos[:, 1:]

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """The pointer at rest at zero, the scale at a random angle."""
        physics.qpos[ids, 1:] = rng.uniform(-self.turn, self.turn, 1)

    def observe(self) -> Array:
        """The scale's angle divided by its maximum [N, 1]."""
        return self.context / self.turn

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """The sum of both peaks at the pointer's angle."""
        off = [self._off(self.pointer, k) / self.widths[k] for k in range(2)]
        wide, narrow = (self.heights[k] * exp(-0.5 * off[k] ** 2) for k in range(2))
        return wide + narrow, {"reward_wide": wide, "reward_narrow": narrow}

    def terminated(self) -> Array:
        """Always: an episode has one step."""
        return self.pointer < inf

    def route(self) -> Array:
        """The peak on whose upper half the pointer is; -1 if on neither."""
        wide, narrow = (abs(self._off(self.pointer, k)) < HALF * self.widths[k] for k in range(2))
        return where(narrow, 1, where(wide, 0, -1))

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Aim at the peak, with noise of half its standard deviation."""
        spread = 0.5 * noise[:, 0]
        wide, narrow = (self.places[k] + self.widths[k] * spread + self.scale for k in range(2))
        return where(route == 1, narrow, wide)[:, None].clip(-1.0, 1.0)

    def deciding(self) -> Array:
        """Always."""
        return self.pointer < inf

    def blocked(self, action: Array) -> Array:
        """Whether the action is in the valley, between the upper halves of the peaks."""
        wide, narrow = (self._off(action[:, 0], k) for k in range(2))
        return (wide > HALF * self.widths[0]) & (narrow < -HALF * self.widths[1])

    def _off(self, angle: Array, peak: int) -> Array:
        """Distance of an angle [N] from a peak, rad."""
        return angle - self.scale - self.places[peak]
