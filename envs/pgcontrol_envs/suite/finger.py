"""Finger: a planar finger that turns a body on an unactuated hinge (Tassa, Doya 2010; from the suite)."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from math import pi

import mujoco

from pgcontrol_envs.arrays import Array, cos, join, log1p, norm, sin
from pgcontrol_envs.suite.base import SuiteTask, columns, random_joints, until_apart
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteFinger(SuiteTask):
    """The common part of the finger tasks."""

    xml = "finger.xml"
    frame_skip = 2
    derived = ("sensordata", "xanchor", "ncon")
    camera = Camera(distance=1.3, elevation=-25.0, lookat=(0.0, 0.0, 0.4))

    def bind(self, physics: Physics) -> None:
        """Keep views of sensor values: angles, positions in the plane, velocities, touch."""
        read = physics.bind("sensordata")
        self.angles = columns(read, self.sensors("proximal", "distal"))
        self.velocity = columns(read, self.sensors("proximal_velocity", "distal_velocity", "hinge_velocity"))
        self.touch = columns(read, self.sensors("touchtop", "touchbottom"))
        self.tip, self.target, self.spinner = (
            columns(read, self.sensors(name)[::2]) for name in ("tip", "target", "spinner")
        )

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random angles without contacts."""
        until_apart(physics, ids, rng, lambda ids, rng: random_joints(self.model, physics, ids, rng))

    def observe(self) -> Array:
        """Angles, the tip relative to the hinge, velocities, log(1 + force) of two touch sensors [N, 9]."""
        return join(self.angles, self.tip - self.spinner, self.velocity, log1p(self.touch))


class FingerSpin(SuiteFinger):
    """Spin a body with a finger, at 15 rad/s; sparse reward. Observes [N, 9]."""

    id = "dm:finger-spin"

    def make_model(self) -> mujoco.MjModel:
        """The model with less damping in the hinge."""
        model = super().make_model()
        model.joint("hinge").damping[0] = 0.03
        return model

    def score(self) -> Array:
        """1 if it spins fast enough, else 0."""
        return 1.0 * (self.velocity[:, 2] <= -15.0)


class FingerTurn(SuiteFinger):
    """Turn a body with a finger, so that the body's tip is in the target.

    Attributes:
        target_size: the target's radius, m.
    """

    target_size: float

    def make_model(self) -> mujoco.MjModel:
        """The model with this target size."""
        model = super().make_model()
        model.site("target").size[0] = self.target_size
        return model

    def bind(self, physics: Physics) -> None:
        """Also keeps views of the hinge's position and the target's position."""
        super().bind(physics)
        self.hinge = physics.bind("xanchor")[:, self.model.joint("hinge").id, ::2]
        self.where = physics.expand("site_pos")[:, self.site("target"), ::2]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """A random target on the circle of the body's tip."""
        angle, radius = rng.uniform(-pi, pi, 1)[:, 0], self.model.geom("cap1").size.sum()
        self.where[ids, 0] = self.hinge[ids, 0] + radius * sin(angle)
        self.where[ids, 1] = self.hinge[ids, 1] + radius * cos(angle)
        super().start(physics, ids, rng)

    def distance(self) -> Array:
        """Distance from the tip to the target's surface [N]; negative inside."""
        # the same order of operations as in dm_control
        return norm((self.target - self.spinner) - (self.tip - self.spinner)) - self.target_size

    def observe(self) -> Array:
        """Adds the target relative to the hinge, and the distance [N, 12]."""
        return join(super().observe(), self.target - self.spinner, self.distance()[:, None])

    def score(self) -> Array:
        """1 if the tip is in the target, else 0."""
        return 1.0 * (self.distance() <= 0)


class FingerTurnEasy(FingerTurn):
    """Turn a body with a finger to a target of 7 cm; sparse reward. Observes [N, 12]."""

    id = "dm:finger-turn_easy"
    target_size = 0.07


class FingerTurnHard(FingerTurn):
    """Turn a body with a finger to a target of 3 cm; sparse reward. Observes [N, 12]."""

    id = "dm:finger-turn_hard"
    target_size = 0.03
