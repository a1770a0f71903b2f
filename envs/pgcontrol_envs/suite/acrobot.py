"""Acrobot: two links, and a motor at the joint between them only (Coulom 2002; the suite's)."""

from math import pi

from pgcontrol_envs.arrays import Array, join, norm
from pgcontrol_envs.suite.base import XZ, ZZ, SuiteTask
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class AcrobotSwingup(SuiteTask):
    """Swing two links up with a motor between them, and keep them there. Observes [N, 6].

    Attributes:
        margin: how far from the target the tip is rewarded, m.
    """

    id = "dm:acrobot-swingup"
    xml = "acrobot.xml"
    frame_skip = 1
    derived = ("xmat", "site_xpos")
    margin = 1.0
    camera = Camera(distance=6.5, elevation=-5.0, lookat=(0.0, 0.0, 2.0))

    def bind(self, physics: Physics) -> None:
        """Both links' sines and cosines, the places of tip and target, velocities."""
        links, places = physics.bind("xmat"), physics.bind("site_xpos")
        upper, lower = self.body("upper_arm"), self.body("lower_arm")
        self.sines, self.cosines = links[:, upper : lower + 1, XZ], links[:, upper : lower + 1, ZZ]
        self.tip, self.target = places[:, self.site("tip")], places[:, self.site("target")]
        self.radius, self.velocity = float(self.model.site("target").size[0]), physics.qvel

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """At any angles."""
        physics.qpos[ids] = rng.uniform(-pi, pi, 2)

    def observe(self) -> Array:
        """Sines and cosines of the links' angles to the vertical, velocities [N, 6]."""
        return join(self.sines, self.cosines, self.velocity)

    def score(self) -> Array:
        """The tip in the target, or near it."""
        return tolerance(norm(self.target - self.tip), 0, self.radius, self.margin)


class AcrobotSwingupSparse(AcrobotSwingup):
    """Swing two links up with a motor between them, and keep them there; 1 or 0. Observes [N, 6]."""

    id = "dm:acrobot-swingup_sparse"
    margin = 0.0
