"""Acrobot: two links, with a motor only at the joint between them (Coulom 2002; from the suite)."""

from math import pi

from pgcontrol_envs.arrays import Array, join, norm
from pgcontrol_envs.suite.base import XZ, ZZ, SuiteTask
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class AcrobotSwingup(SuiteTask):
    """Swing two links up with a motor between them, and keep them there. Observes [N, 6].

    Attributes:
        margin: distance from the target within which the tip is rewarded, m.
    """

    id = "dm:acrobot-swingup"
    xml = "acrobot.xml"
    frame_skip = 1
    derived = ("xmat", "site_xpos")
    margin = 1.0
    camera = Camera(distance=6.5, elevation=-5.0, lookat=(0.0, 0.0, 2.0))

    def bind(self, physics: Physics) -> None:
        """Keep views of the links' sines and cosines, the positions of tip and target, and velocities."""
        links, places = physics.bind("xmat"), physics.bind("site_xpos")
        upper, lower = self.body("upper_arm"), self.body("lower_arm")
        self.sines, self.cosines = links[:, upper : lower + 1, XZ], links[:, upper : lower + 1, ZZ]
        self.tip, self.target = places[:, self.site("tip")], places[:, self.site("target")]
        self.radius, self.velocity = float(self.model.site("target").size[0]), physics.qvel

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random angles."""
        physics.qpos[ids] = rng.uniform(-pi, pi, 2)

    def observe(self) -> Array:
        """Sines and cosines of the links' angles from the vertical, velocities [N, 6]."""
        return join(self.sines, self.cosines, self.velocity)

    def score(self) -> Array:
        """1 if the tip is in the target, less if it is near."""
        return tolerance(norm(self.target - self.tip), 0, self.radius, self.margin)


class AcrobotSwingupSparse(AcrobotSwingup):
    """Swing two links up with a motor between them, and keep them there; sparse reward. Observes [N, 6]."""

    id = "dm:acrobot-swingup_sparse"
    margin = 0.0
