"""Point mass: a disc that slides on a plane (from the suite)."""

from pgcontrol_envs.arrays import Array, join, norm
from pgcontrol_envs.suite.base import SuiteTask, random_joints
from pgcontrol_envs.suite.tolerance import small, tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class PointMassEasy(SuiteTask):
    """Bring a disc to the middle. Observes [N, 4]."""

    id = "dm:point_mass-easy"
    xml = "point_mass.xml"
    frame_skip = 1
    derived = ("geom_xpos",)
    camera = Camera(distance=0.9, elevation=-90.0)

    def bind(self, physics: Physics) -> None:
        """Also keeps views of the positions of disc and target, and control."""
        super().bind(physics)
        places = physics.bind("geom_xpos")
        self.place, self.target = places[:, self.geom("pointmass")], places[:, self.geom("target")]
        self.radius, self.control = float(self.model.geom("target").size[0]), physics.ctrl

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """A random position."""
        random_joints(self.model, physics, ids, rng)

    def observe(self) -> Array:
        """Position, velocity [N, 4]."""
        return join(self.posture, self.velocity)

    def score(self) -> Array:
        """High if the disc is in or near the target, with small controls."""
        return tolerance(norm(self.target - self.place), 0, self.radius, self.radius) * small(self.control)
