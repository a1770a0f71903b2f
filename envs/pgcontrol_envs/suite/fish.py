"""Fish: a fish in water (from the suite)."""

from pgcontrol_envs.arrays import Array, join, norm
from pgcontrol_envs.suite.base import ZZ, SuiteTask, unit
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteFish(SuiteTask):
    """The common part of the fish tasks."""

    xml = "fish.xml"
    frame_skip = 10
    derived = ("xmat", "geom_xpos", "geom_xmat")
    camera = Camera(track="torso", distance=0.8, elevation=-30.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of joint angles, the torso's uprightness, and velocities."""
        self.angles, self.velocity = physics.qpos[:, 7:], physics.qvel
        self.upright = physics.bind("xmat")[:, self.body("torso"), ZZ]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random attitude, joints nearly straight."""
        physics.qpos[ids, 3:7] = unit(rng.normal(4))
        physics.qpos[ids, 7:] = rng.uniform(-0.2, 0.2, self.model.nq - 7)


class FishUpright(SuiteFish):
    """Turn a fish upright. Observes [N, 21]."""

    id = "dm:fish-upright"

    def observe(self) -> Array:
        """Joint angles, uprightness, velocities [N, 21]."""
        return join(self.angles, self.upright[:, None], self.velocity)

    def score(self) -> Array:
        """Increases with uprightness."""
        return tolerance(self.upright, 1, 1, 1)


class FishSwim(SuiteFish):
    """Swim to a target. Observes [N, 24]."""

    id = "dm:fish-swim"

    def bind(self, physics: Physics) -> None:
        """Also keeps views of the positions of mouth and target."""
        super().bind(physics)
        mouth, target = self.geom("mouth"), self.geom("target")
        places = physics.bind("geom_xpos")
        self.mouth, self.target, self.where = places[:, mouth], places[:, target], physics.expand("geom_pos")[:, target]
        self.frame = physics.bind("geom_xmat")[:, mouth].reshape(-1, 3, 3)
        self.reach = float(self.model.geom_size[[mouth, target], 0].sum())

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """A random target in a box."""
        super().start(physics, ids, rng)
        self.where[ids, :2], self.where[ids, 2:] = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.1, 0.3, 1)

    def way(self) -> Array:
        """The vector from mouth to target, in the mouth's frame [N, 3]."""
        return ((self.target - self.mouth)[:, None] @ self.frame)[:, 0]

    def observe(self) -> Array:
        """Joint angles, uprightness, the vector to the target, velocities [N, 24]."""
        return join(self.angles, self.upright[:, None], self.way(), self.velocity)

    def score(self) -> Array:
        """High if the mouth is in or near the target, plus a small part for being upright."""
        at_target = tolerance(norm(self.way()), 0, self.reach, 2 * self.reach)
        return (7 * at_target + 0.5 * (self.upright + 1)) / 8
