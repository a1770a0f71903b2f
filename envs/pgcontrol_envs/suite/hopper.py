"""Hopper: a planar one-legged hopper (Lillicrap et al. 2015; from the suite)."""

from math import inf

from pgcontrol_envs.arrays import Array, join, log1p
from pgcontrol_envs.suite.base import SuiteTask, columns, random_joints
from pgcontrol_envs.suite.tolerance import small, tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteHopper(SuiteTask):
    """Stand on one leg."""

    xml = "hopper.xml"
    frame_skip = 4
    unobserved = 1
    derived = ("sensordata", "xipos")
    camera = Camera(track="torso", distance=3.0, elevation=-10.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of the heights of torso and foot, the speed, the foot's touch sensors, and control."""
        super().bind(physics)
        heights, read = physics.bind("xipos")[:, :, 2], physics.bind("sensordata")
        self.torso, self.foot = heights[:, self.body("torso")], heights[:, self.body("foot")]
        self.speed = read[:, self.sensors("torso_subtreelinvel")[0]]
        self.touch, self.control = columns(read, self.sensors("touch_toe", "touch_heel")), physics.ctrl

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random posture and angle; the body falls."""
        random_joints(self.model, physics, ids, rng)

    def observe(self) -> Array:
        """Positions except x, velocities, log(1 + force) of toe and heel [N, 15]."""
        return join(self.posture, self.velocity, log1p(self.touch))

    def standing(self) -> Array:
        """1 if the torso is 0.6 m or more above the foot."""
        return tolerance(self.torso - self.foot, 0.6, 2)


class HopperStand(SuiteHopper):
    """Stand on one leg, with small controls. Observes [N, 15]."""

    id = "dm:hopper-stand"

    def score(self) -> Array:
        """High for standing with small controls."""
        return self.standing() * small(self.control)


class HopperHop(SuiteHopper):
    """Hop forwards on one leg, at 2 m/s. Observes [N, 15]."""

    id = "dm:hopper-hop"

    def score(self) -> Array:
        """Standing, and proportional to the speed up to 2 m/s."""
        return self.standing() * tolerance(self.speed, 2, inf, 1, "linear", 0.5)
