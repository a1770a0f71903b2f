"""Swimmer: a chain of links in a viscous fluid (Coulom 2002; from the suite)."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import mujoco

from pgcontrol_envs.arrays import Array, join, norm, where
from pgcontrol_envs.suite.base import SuiteTask, random_joints
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteSwimmer(SuiteTask):
    """Bring the nose to a target.

    Attributes:
        links: number of bodies, including the head.
    """

    xml = "swimmer.xml"
    frame_skip = 15
    derived = ("sensordata", "geom_xpos", "xmat")
    links: int

    def make_model(self) -> mujoco.MjModel:
        """The head, followed by links: each has a joint with a motor, a velocimeter and a gyro."""
        spec = self.make_spec()
        body, look, mass, joints = spec.body("head"), *(spec.find_default(n) for n in ("visual", "inertial", "swimmer"))
        for i in range(self.links - 1):
            body = body.add_body(name=f"segment_{i}", pos=[0, 0.1, 0])
            body.add_geom(look, name=f"visual_{i}")
            body.add_geom(mass, name=f"inertial_{i}")
            body.add_site(joints, name=f"site_{i}")
            most = 360 / self.links
            body.add_joint(joints, name=f"joint_{i}", range=[-most, most])
            motor = spec.add_actuator(name=f"motor_{i}", target=f"joint_{i}", trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_motor()
            for kind in ("velocimeter", "gyro"):
                of = {"objtype": mujoco.mjtObj.mjOBJ_SITE, "objname": f"site_{i}"}
                spec.add_sensor(name=f"{kind}_{i}", type=getattr(mujoco.mjtSensor, f"mjSENS_{kind.upper()}"), **of)
        return spec.compile()

    def bind(self, physics: Physics) -> None:
        """Keep views of joint angles, the links' velocities, and the positions of nose and target."""
        nose, target = self.geom("nose"), self.geom("target")
        places, read = physics.bind("geom_xpos"), physics.bind("sensordata")
        first = self.sensors("head_vel")[0]
        self.angles, self.links_moving = physics.qpos[:, 3:], read[:, first:].reshape(len(read), -1, 6)
        self.nose, self.target, self.where = places[:, nose], places[:, target], physics.expand("geom_pos")[:, target]
        self.frame = physics.bind("xmat")[:, self.body("head")].reshape(-1, 3, 3)
        self.radius = float(self.model.geom("target").size[0])

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random posture and direction; one target of five is near."""
        random_joints(self.model, physics, ids, rng)
        most = where(rng.uniform(0, 1, 1) < 0.2, 0.3, 2.0)
        self.where[ids, :2] = -most + (most + most) * rng.uniform(0, 1, 2)

    def way(self) -> Array:
        """The vector from nose to target, in the head's frame [N, 2]."""
        return ((self.target - self.nose)[:, None] @ self.frame)[:, 0, :2]

    def observe(self) -> Array:
        """Joint angles, the vector to the target, each link's speeds along and across and its yaw rate."""
        moving = self.links_moving[:, :, [0, 1, 5]]
        return join(self.angles, self.way(), moving.reshape(len(moving), -1))

    def score(self) -> Array:
        """1 if the nose is in the target, less if it is near."""
        return tolerance(norm(self.way()), 0, self.radius, 5 * self.radius, "long_tail")


class SwimmerSwimmer6(SuiteSwimmer):
    """Swim to a target with six links. Observes [N, 25]."""

    id = "dm:swimmer-swimmer6"
    links = 6
    camera = Camera(track="head", distance=1.5, elevation=-60.0)


class SwimmerSwimmer15(SuiteSwimmer):
    """Swim to a target with fifteen links. Observes [N, 61]."""

    id = "dm:swimmer-swimmer15"
    links = 15
    camera = Camera(track="head", distance=3.0, elevation=-60.0)
