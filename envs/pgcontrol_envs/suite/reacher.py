"""Reacher: a two-joint arm in the plane, and a random target (from the suite)."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from math import pi

import mujoco

from pgcontrol_envs.arrays import Array, cos, join, norm, sin
from pgcontrol_envs.suite.base import SuiteTask, random_joints
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteReacher(SuiteTask):
    """Bring the finger to the target.

    Attributes:
        target_size: the target's radius, m.
    """

    xml = "reacher.xml"
    frame_skip = 1
    derived = ("geom_xpos",)
    target_size: float
    camera = Camera(distance=0.8, elevation=-90.0)

    def make_model(self) -> mujoco.MjModel:
        """The model with this target size."""
        model = super().make_model()
        model.geom("target").size[0] = self.target_size
        return model

    def bind(self, physics: Physics) -> None:
        """Keep views of angles, velocities, and the positions of finger and target."""
        finger, target = self.geom("finger"), self.geom("target")
        places = physics.bind("geom_xpos")
        self.finger, self.target = places[:, finger, :2], places[:, target, :2]
        self.angles, self.velocity = physics.qpos, physics.qvel
        self.where = physics.expand("geom_pos")[:, target]
        self.reach = float(self.model.geom_size[[target, finger], 0].sum())

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random joint angles; a random target 5 to 20 cm from the shoulder."""
        random_joints(self.model, physics, ids, rng)
        angle, radius = rng.uniform(0, 2 * pi, 1)[:, 0], rng.uniform(0.05, 0.20, 1)[:, 0]
        self.where[ids, 0], self.where[ids, 1] = radius * sin(angle), radius * cos(angle)

    def observe(self) -> Array:
        """Angles, the vector from finger to target, velocities [N, 6]."""
        return join(self.angles, self.target - self.finger, self.velocity)

    def score(self) -> Array:
        """1 if finger and target touch, else 0."""
        return tolerance(norm(self.target - self.finger), 0, self.reach)


class ReacherEasy(SuiteReacher):
    """Bring a finger to a target of 5 cm; sparse reward. Observes [N, 6]."""

    id = "dm:reacher-easy"
    target_size = 0.05


class ReacherHard(SuiteReacher):
    """Bring a finger to a target of 1.5 cm; sparse reward. Observes [N, 6]."""

    id = "dm:reacher-hard"
    target_size = 0.015
