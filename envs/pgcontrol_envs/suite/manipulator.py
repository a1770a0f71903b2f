"""Manipulator: a planar arm with a hand (from the suite)."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from math import pi

import mujoco
import numpy as np

from pgcontrol_envs.arrays import Array, cos, join, log1p, norm, sin, stack
from pgcontrol_envs.suite.base import XX, ZX, SuiteTask, until_apart
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams

ARM = ("arm_root", "arm_shoulder", "arm_elbow", "arm_wrist", "finger", "fingertip", "thumb", "thumbtip")
BALL = ("ball_x", "ball_z", "ball_y")


class ManipulatorBringBall(SuiteTask):
    """Bring a ball to a target with an arm and a hand. Observes [N, 44]."""

    id = "dm:manipulator-bring_ball"
    xml = "manipulator.xml"
    frame_skip = 10
    derived = ("sensordata", "site_xpos", "site_xmat", "xpos", "xquat", "ncon")
    camera = Camera(distance=1.6, elevation=-5.0, lookat=(0.0, 0.0, 0.4))

    def make_model(self) -> mujoco.MjModel:
        """The model without peg and receptacles."""
        spec = self.make_spec()
        for name in ("peg", "target_peg", "slot", "cup"):
            spec.delete(spec.body(name))
        return spec.compile()

    def bind(self, physics: Physics) -> None:
        """Keep views of joints, touch, the poses of hand, ball and target, and the grasp."""
        sites, target = physics.bind("site_xpos"), self.body("target_ball")
        self.qpos, self.qvel, self.touch = physics.qpos, physics.qvel, physics.bind("sensordata")
        self.arm, self.arm_moving = self.positions(*ARM), self.velocities(*ARM)
        self.ball, self.ball_moving = self.positions(*BALL), self.velocities(*BALL)
        self.place, self.turn = physics.bind("xpos")[:, :, ::2], physics.bind("xquat")[:, :, ::2]
        self.seen = [self.body("hand"), self.body("ball"), target]
        self.at, self.goal = sites[:, self.site("ball")], sites[:, self.site("target_ball")]
        self.grasp = sites[:, self.site("grasp"), ::2]
        self.grasping = physics.bind("site_xmat")[:, self.site("grasp"), XX : ZX + 1 : ZX - XX]
        self.where = physics.expand("body_pos")[:, target, ::2]
        self.tilt = physics.expand("body_quat")[:, target, ::2]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random arm and target; the ball in the hand (1 in 10), at the target (1 in 10) or falling; no contacts."""
        joints = [self.model.joint(name) for name in ARM]
        low, high = np.array([joint.range if self.model.jnt_limited[joint.id] else [-pi, pi] for joint in joints]).T
        finger, thumb = self.positions("finger", "thumb")

        def draw(ids: Array, rng: Streams) -> None:
            physics.qpos[ids[:, None], self.arm] = rng.uniform(low, high, len(ARM))
            physics.qpos[ids, finger] = physics.qpos[ids, thumb]
            x, z = rng.uniform(-0.4, 0.4, 1)[:, 0], rng.uniform(0.1, 0.4, 1)[:, 0]
            angle = rng.uniform(-pi, pi, 1)[:, 0]
            self.where[ids], self.tilt[ids] = stack(x, z), stack(cos(angle / 2), sin(angle / 2))
            pose = stack(x, z, angle)
            kind = np.array([generator.choice(3, p=[0.1, 0.1, 0.8]) for generator in rng.generators])
            held, falling = np.flatnonzero(kind == 0), np.flatnonzero(kind == 2)
            if len(held):
                physics.forward(ids[held])
                across = self.grasping[ids[held]]
                pose[held, :2], pose[held, 2] = self.grasp[ids[held]], pi - np.arctan2(across[:, 1], across[:, 0])
            if len(falling):
                rest = rng.narrow(falling)
                for column, (least, most) in enumerate(((-0.5, 0.5), (0, 0.7), (0, 2 * pi))):
                    pose[falling, column] = rest.uniform(least, most, 1)[:, 0]
                physics.qvel[ids[falling], self.ball_moving[0]] = rest.uniform(-5, 5, 1)[:, 0]
            physics.qpos[ids[:, None], self.ball] = pose

        until_apart(physics, ids, rng, draw)

    def observe(self) -> Array:
        """Sines and cosines of the arm, its velocities, touch, poses of hand, ball and target, the ball's velocities.

        A pose is x, z and two numbers of a quaternion; the ball's velocities come before the target's pose.
        """
        arm, n = self.qpos[:, self.arm], len(self.qpos)
        angles = stack(sin(arm), cos(arm)).reshape(n, -1)
        poses = join(self.place[:, self.seen], self.turn[:, self.seen]).reshape(n, -1)
        moving = self.qvel[:, self.ball_moving]
        return join(angles, self.qvel[:, self.arm_moving], log1p(self.touch), poses[:, :8], moving, poses[:, 8:])

    def score(self) -> Array:
        """1 if the ball is within 1 cm of the target, less if it is near."""
        return tolerance(norm(self.at - self.goal), 0, 0.01, 0.02)
