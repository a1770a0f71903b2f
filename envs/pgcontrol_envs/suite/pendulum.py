"""Pendulum: swing up and hold a pole; the torque is too small to lift it directly (from the suite)."""

from math import cos, pi, radians

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.suite.base import XZ, ZZ, SuiteTask
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class PendulumSwingup(SuiteTask):
    """Swing a pendulum up and keep it there; sparse reward. Observes [N, 3]."""

    id = "dm:pendulum-swingup"
    xml = "pendulum.xml"
    frame_skip = 1
    derived = ("xmat",)
    camera = Camera(distance=2.5, elevation=-15.0, lookat=(0.0, 0.0, 0.6))

    def bind(self, physics: Physics) -> None:
        """Keep views of the pole's cosine and sine, and its velocity."""
        pole = physics.bind("xmat")[:, self.body("pole")]
        self.upright, self.seen = pole[:, ZZ], (pole[:, ZZ : ZZ + 1], pole[:, XZ : XZ + 1], physics.qvel)

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """A random angle."""
        physics.qpos[ids] = rng.uniform(-pi, pi, 1)

    def observe(self) -> Array:
        """Cosine, sine, velocity [N, 3]."""
        return join(*self.seen)

    def score(self) -> Array:
        """1 within 8 degrees of upright, else 0."""
        return tolerance(self.upright, cos(radians(8)), 1)
