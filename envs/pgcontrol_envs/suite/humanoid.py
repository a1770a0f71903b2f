"""Humanoid: a body with 21 joints (Tassa, Erez, Todorov 2012; from the suite)."""

from math import inf

from pgcontrol_envs.arrays import Array, join, norm
from pgcontrol_envs.suite.base import ZX, ZZ, SuiteTask, random_joints, until_apart
from pgcontrol_envs.suite.tolerance import small, tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteHumanoid(SuiteTask):
    """Stand upright, and move at `pace`.

    Attributes:
        pace: the speed for the full reward, m/s; 0: stand still.
    """

    xml = "humanoid.xml"
    frame_skip = 5
    derived = ("sensordata", "xmat", "xpos", "ncon")
    pace = 0.0
    camera = Camera(track="torso", distance=4.5, elevation=-10.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of joint angles, head, hands and feet, the torso's pose, velocities, control."""
        attitudes, places = physics.bind("xmat"), physics.bind("xpos")
        torso, head = self.body("torso"), self.body("head")
        self.limbs = [self.body(f"{side}_{limb}") for side in ("left", "right") for limb in ("hand", "foot")]
        self.angles, self.velocity, self.control = physics.qpos[:, 7:], physics.qvel, physics.ctrl
        self.places, self.torso, self.heights = places, places[:, torso, None], places[:, head, 2:]
        self.height, self.upright = self.heights[:, 0], attitudes[:, torso, ZZ]
        self.frame, self.vertical = attitudes[:, torso].reshape(-1, 3, 3), attitudes[:, torso, ZX : ZZ + 1]
        column = self.sensors("torso_subtreelinvel")
        self.moving = physics.bind("sensordata")[:, column[0] : column[-1] + 1]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random posture and attitude without contacts."""
        until_apart(physics, ids, rng, lambda ids, rng: random_joints(self.model, physics, ids, rng))

    def observe(self) -> Array:
        """Joint angles, head height, hands and feet in the torso's frame, its vertical and velocity, all velocities."""
        limbs = (self.places[:, self.limbs] - self.torso) @ self.frame
        limbs = limbs.reshape(len(limbs), -1)
        return join(self.angles, self.heights, limbs, self.vertical, self.moving, self.velocity)

    def score(self) -> Array:
        """High for standing upright, at `pace`, with small controls."""
        standing = tolerance(self.height, 1.4, inf, 0.35) * tolerance(self.upright, 0.9, inf, 1.9, "linear", 0)
        if self.pace:
            speed = norm(self.moving[:, :2])
            pace = (5 * tolerance(speed, self.pace, inf, self.pace, "linear", 0) + 1) / 6
        else:
            pace = tolerance(self.moving[:, :2], margin=2).mean(-1)
        return small(self.control) * standing * pace


class HumanoidStand(SuiteHumanoid):
    """Stand, with a body with 21 joints. Observes [N, 67]."""

    id = "dm:humanoid-stand"


class HumanoidWalk(SuiteHumanoid):
    """Walk at 1 m/s, with a body with 21 joints. Observes [N, 67]."""

    id = "dm:humanoid-walk"
    pace = 1.0


class HumanoidRun(SuiteHumanoid):
    """Run at 10 m/s, with a body with 21 joints. Observes [N, 67]."""

    id = "dm:humanoid-run"
    pace = 10.0
