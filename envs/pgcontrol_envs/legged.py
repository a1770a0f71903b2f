"""A quadruped that follows a velocity command: model, command, observation, rewards, falls, and what is randomised.

A robot is a subclass that names its model's file and bodies, its default pose and its gains: fit.py adds to the model
what it lacks. A robot may make its model itself, as tasks/go1.py does. The reward terms, the randomisation and their
ranges are those that legged trainers have in common (Rudin et al. 2022, arXiv 2109.11978; MuJoCo Playground, arXiv
2502.08844, appendix; mjlab's velocity task).
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np

from pgcontrol_envs.arrays import Array, cos, exp, join, norm, sin, some, where
from pgcontrol_envs.fit import fit, require_stance
from pgcontrol_envs.interface import COMMANDS, Observed, actuation
from pgcontrol_envs.reflection import Image, Reflection, joined
from pgcontrol_envs.task import (
    Camera,
    Mirror,
    Physics,
    Streams,
    Task,
    TaskError,
    Terms,
    load_spec,
    python_warnings,
    standalone,
)

Range = tuple[float, float]
LEGS = ("FR", "FL", "RR", "RL")  # the order of feet and of joints: hip, thigh, calf of each
# places in userdata: the command; when each foot touched the ground last, s; until when a push lasts, s, and the push
COMMAND, TOUCHED, PUSHED_UNTIL, PUSH = slice(0, 3), slice(3, 7), slice(7, 8), slice(8, 10)
NUMBERS = 10
TIPPED, SUNK = 0.5, 0.5  # fallen: the cosine of the tilt, and the share of the height


class Legged(Task):
    """Follow a command: speed forwards and sideways, m/s, and yaw rate, rad/s; stand where it is 0.

    Observes what a robot can measure, with noise: turning rates of the trunk, the direction of gravity, positions of
    the joints off the default pose and their speeds, the last action, and the command. The critic also sees the
    trunk's velocity and height, the friction, the masses, the centre of mass, contact forces and the push.

    An episode ends when the trunk tips over or sinks. The model has four legs of hip, thigh and calf. A subclass that
    makes its model itself needs userdata of `NUMBERS`, and sensors: gyro, velocity, up, and of each foot LEG_vel and
    LEG_touch.

    Attributes:
        trunk: name of the body that the free joint moves.
        feet: names of the feet's geoms, or of the bodies whose last geom is a foot, in the order of the model's legs.
        pose: default positions of the joints, rad, [12], in the model's order; the episode starts near it.
        height: of the trunk at the start, m; the ground is at 0.
        timestep: of the physics, s; an action lasts `frame_skip` of them.
        kp: stiffness of the joints' position servos, N·m/rad. A class with kp = None, such as Go1Torque, has torques.
        kd: their damping, N·m·s/rad.
        scale: half of the range of their targets around the pose, rad.
        speeds: range of the commanded speed forwards, m/s.
        sideways: range of the commanded speed to the left, m/s.
        yaw: range of the commanded yaw rate, rad/s.
        standing: share of commands that are 0.
        every: mean seconds between two commands.
        noise: factor of the sensors' noise; 0 switches it off.
        friction: range of the feet's sliding friction.
        masses: range of the factor of each body's mass.
        load: range of what is added to the trunk's mass, kg.
        shift: how far the trunk's centre of mass is off along each axis, at most, m.
        gains: range of the factor of each actuator's gain.
        armature: range of the factor of each joint's armature.
        frictionloss: range of the factor of each joint's dry friction.
        push: speed that a push of 0.1 s gives to the nominal robot along each horizontal axis, at most, m/s; 0 for
            none. A push lasts a whole number of steps, so with steps of 0.02 s some last 0.12 s and give a fifth more.
        weights: of the reward's terms, by name; terms that are not named keep theirs.
    """

    frame_skip = 5
    time_limit = 1000
    stage = "acc"
    derived = ("sensordata", "actuator_force")
    settings = (
        "kp", "kd", "scale", "speeds", "sideways", "yaw", "standing", "every", "noise", "friction", "masses", "load",
        "shift", "gains", "armature", "frictionloss", "push", "weights",
    )  # fmt: skip
    least: ClassVar[Any] = (
        {"every": 0.02, "masses": 0.01, "scale": 0.01, "weights": -1e5}
        | dict.fromkeys(("noise", "standing", "friction", "shift", "gains", "armature", "frictionloss"), 0)
        | dict.fromkeys(("kp", "kd", "push"), 0)
        | dict.fromkeys(("speeds", "sideways", "yaw", "load"), -1000)
    )
    most: ClassVar[Any] = dict.fromkeys(settings, 1000) | {"standing": 1} | dict.fromkeys(("kp", "kd", "weights"), 1e5)
    camera = Camera(track="trunk", distance=2.2, elevation=-15.0, azimuth=120.0)
    trunk: ClassVar[str] = "trunk"
    feet: ClassVar[tuple[str, ...]] = tuple(f"{leg}_foot" for leg in LEGS)
    timestep: ClassVar[float] = 0.004
    kp: ClassVar[Any] = None
    kd: ClassVar[Any] = None
    scale: ClassVar[Any] = None
    pose: ClassVar[tuple[float, ...]]
    height: ClassVar[float]
    speeds: ClassVar[Range] = (-1.0, 1.0)
    sideways: ClassVar[Range] = (-0.5, 0.5)
    yaw: ClassVar[Range] = (-1.0, 1.0)
    standing: ClassVar[float] = 0.1
    every: ClassVar[float] = 5.0
    noise: ClassVar[float] = 1.0
    friction: ClassVar[Range] = (0.4, 1.0)
    masses: ClassVar[Range] = (0.9, 1.1)
    load: ClassVar[Range] = (-1.0, 1.0)
    shift: ClassVar[float] = 0.05
    gains: ClassVar[Range] = (0.9, 1.1)
    armature: ClassVar[Range] = (1.0, 1.05)
    frictionloss: ClassVar[Range] = (0.9, 1.1)
    push: ClassVar[float] = 0.5
    weights: ClassVar[dict[str, float]] = {
        "tracking": 1.5,
        "turning": 0.75,
        "bouncing": -0.5,
        "rolling": -0.05,
        "tilt": -2.0,
        "torque": -1e-4,
        "jerk": -0.01,
        "limits": -5.0,
        "air": 0.3,
        "pose": -0.1,
        "stillness": -0.3,
    }

    def __init_subclass__(cls) -> None:
        if "trunk" in vars(cls) and "camera" not in vars(cls):
            cls.camera = replace(cls.camera, track=cls.trunk)
        for name in ("kp", "kd", "scale"):
            if type(value := vars(cls).get(name)) is int and getattr(super(cls, cls), name) is None:
                setattr(cls, name, float(value))  # or else the setting would be a whole number
        if isinstance(vars(cls).get("weights"), dict):
            cls.weights = super(cls, cls).weights | cls.weights

    def spec(self) -> mujoco.MjSpec:
        """The file's model, with what it lacks."""
        needed = ("xml", "pose", "height", *(() if self.kp is None else ("kd", "scale")))
        if missing := [name for name in needed if getattr(self, name, None) is None]:
            raise TaskError(f"{type(self).__name__}: defines no {', no '.join(missing)}")
        if not (isinstance(self.timestep, float | int) and self.timestep > 0):
            raise TaskError(f"{type(self).__name__}: timestep: expected seconds, above 0, got {self.timestep!r}")
        return fit(load_spec(self.xml, Path(inspect.getfile(type(self))).parent), self, LEGS, NUMBERS)

    def mjcf(self) -> str:
        """The model with what the file lacks, as one text."""
        return standalone(self.spec())

    def make_model(self) -> mujoco.MjModel:
        """See spec."""
        try:
            with python_warnings():
                return self.spec().compile()
        except TaskError:
            raise
        except ValueError as error:
            raise TaskError(f"{type(self).__name__}: {self.source}: {' '.join(str(error).split())}") from None

    def bind(self, physics: Physics) -> None:
        """Views of the state and of the sensors, and the fields of the model that differ between simulations."""
        super().bind(physics)
        model = self.model
        if model.nuserdata < NUMBERS:
            raise TaskError(f"{type(self).__name__}: the model has {model.nuserdata} userdata; it needs {NUMBERS}")
        self.joints, self.speed = physics.qpos[:, 7:], physics.qvel[:, 6:]
        self.up, self.gyro, self.linear = (self._sensor(physics, name) for name in ("up", "gyro", "velocity"))
        self.touch = [self._sensor(physics, f"{leg}_touch") for leg in LEGS]
        self.trunk_z, self.torque, self.ctrl = physics.qpos[:, 2], physics.bind("actuator_force"), physics.ctrl
        self.time, self.numbers, self.random = physics.time, physics.userdata, physics.noise
        self.command = self.numbers[:, COMMAND]
        body = self.body(self.trunk)
        self.pushed = physics.bind("xfrc_applied")[:, body, :2]
        fields = "body_mass body_ipos dof_armature dof_frictionloss geom_friction actuator_gainprm actuator_biasprm"
        own = {name: physics.expand(name) for name in fields.split()}
        self.own, self.plain = own, {name: field[0] + 0 for name, field in own.items()}
        lightest = self.masses[0] * model.body_mass[body] + self.load[0]
        if lightest <= 0:
            raise TaskError(f"{self.id}: load: expected more than takes away all of the trunk's mass, got {self.load}")
        self.geoms = np.array([model.geom(name).id for name in self.feet])
        require_stance(model, self, self.geoms)
        self.total = float(model.body_subtreemass[body])
        self.order = [model.joint(i).name for i in range(1, model.njnt)]
        self.default = physics.array(np.array(self.pose))
        self.middle = physics.array(model.actuator_ctrlrange.mean(1))
        self.half = physics.array(0.5 * np.ptp(model.actuator_ctrlrange, axis=1))
        low, high = physics.array(model.jnt_range[1:].copy()).T
        self.soft = 0.95 * low + 0.05 * high, 0.05 * low + 0.95 * high  # the joints' ranges, less a twentieth
        ends = np.array((self.speeds, self.sideways, self.yaw), float).T
        self.slowest, self.fastest = physics.array(ends[0].copy()), physics.array(ends[1].copy())
        noise = [np.full(part.value.shape[-1], part.noise) for part in self.parts()]
        self.errs = physics.array(np.trim_zeros(np.concatenate(noise), "b"))

    def _sensor(self, physics: Any, name: str) -> Array:
        try:
            sensor = self.model.sensor(name)
        except KeyError:
            raise TaskError(f"{type(self).__name__}: the model has no sensor {name!r}") from None
        start = int(sensor.adr[0])
        return physics.bind("sensordata")[:, start : start + int(sensor.dim[0])]

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Near the default pose, facing anywhere, with a command, and a body of its own."""
        drawn = rng.uniform(-1.0, 1.0, 13 + 6)
        physics.qpos[ids, 7:] = self.default + 0.1 * drawn[:, :12]
        physics.qpos[ids, 2] = self.height
        half = 0.5 * np.pi * drawn[:, 12]
        physics.qpos[ids, 3], physics.qpos[ids, 6] = cos(half), sin(half)
        physics.qvel[ids, :6] = 0.2 * drawn[:, 13:]
        self.randomise(ids, rng)
        physics.set_const(ids)
        physics.ctrl[ids] = self.middle
        self.numbers[ids] = 0.0
        self.command[ids] = self.commands()[ids]
        self.numbers[ids, PUSHED_UNTIL] = -1.0

    def randomise(self, ids: Array, rng: Streams) -> None:
        """Write the model's fields of the envs ids [n]."""
        body, plain, own = self.body(self.trunk), self.plain, self.own
        mass = plain["body_mass"] * rng.uniform(*self.masses, self.model.nbody)
        mass[:, body] += rng.uniform(*self.load, 1)[:, 0]
        own["body_mass"][ids] = mass
        own["body_ipos"][ids, body] = plain["body_ipos"][body] + rng.uniform(-self.shift, self.shift, 3)
        own["geom_friction"][ids[:, None], self.geoms, 0] = rng.uniform(*self.friction, 1)
        for name, between in (("dof_armature", self.armature), ("dof_frictionloss", self.frictionloss)):
            own[name][ids] = plain[name] * rng.uniform(*between, self.model.nv)
        gains = rng.uniform(*self.gains, self.model.nu)[:, :, None]
        for name in ("actuator_gainprm", "actuator_biasprm"):
            own[name][ids] = plain[name] * gains

    def commands(self) -> Array:
        """The command that each env would get now, [N, 3]."""
        drawn = self.random.uniform("command", self.slowest, self.fastest, 3)
        return where(self.random.uniform("standing", 0.0, 1.0, 1) < self.standing, 0.0 * drawn, drawn)

    def remember(self) -> None:
        """A new command and a push, now and then; and which feet touch the ground."""
        renewed = self.random.uniform("renewed", 0.0, 1.0, 1) < self.dt / self.every
        if some(renewed):
            self.command[:] = where(renewed, self.commands(), self.command)
        touched = self.numbers[:, TOUCHED]
        touched[:] = where(self.contacts(), self.time.reshape(-1, 1), touched)
        if self.push:
            until, force = self.numbers[:, PUSHED_UNTIL], self.numbers[:, PUSH]
            now = self.time.reshape(-1, 1)
            begins = (self.random.uniform("push", 0.0, 1.0, 1) < self.dt / (2 * self.every)) & (now > 0)  # after a step
            force[:] = where(now < until, force, 0.0 * force)
            if some(begins):
                drawn = self.random.uniform("force", -self.push, self.push, 2) * self.total / 0.1
                force[:], until[:] = where(begins, drawn, force), where(begins, now + 0.1, until)
            self.pushed[:] = force

    def contacts(self) -> Array:
        """Which feet press on the ground, bool [N, 4]."""
        return join(*self.touch) > 1.0

    def parts(self) -> list[Observed]:
        """What the robot measures, and what is said of it; the observation's order is this one, and is here alone."""
        last = (self.ctrl - self.middle) / self.half
        return [
            Observed("angular velocity", self.gyro, noise=0.2 * self.noise),
            Observed("gravity", -self.up, noise=0.05 * self.noise),
            Observed("joint position", self.joints - self.default, 1.0, self.default, 0.01 * self.noise, self.order),
            Observed("joint speed", 0.1 * self.speed, 0.1, noise=0.1 * self.noise, joints=self.order),
            Observed("last action", last, 1.0 / self.half, self.middle),
            Observed("command", self.command),
        ]

    def observe(self) -> Array:
        """What the robot measures, with noise, [N, 45]."""
        obs, noisy = join(*(part.value for part in self.parts())), len(self.errs)
        if noisy:
            obs[:, :noisy] += self.errs * self.random.uniform("sensors", -1.0, 1.0, noisy)
        return obs

    def interface(self) -> dict[str, Any]:
        """The robot's, as the task and its model have it; torques and gains are those of the actuators."""
        ends = zip(COMMANDS.items(), (self.speeds, self.sideways, self.yaw), strict=True)
        return {
            "timestep": self.model.opt.timestep,
            "substeps": self.frame_skip,
            "observation": [part.said() for part in self.parts()],
            "action": actuation(self.model),
            "pose": {"unit": "rad", "joints": dict(zip(self.order, self.pose, strict=True))},
            "base": self.trunk,
            "height": {"unit": "m", "start": self.height, "fallen": SUNK * self.height},
            "tilt": {"unit": "rad", "fallen": float(np.arccos(TIPPED))},
            "commands": [{"name": n, "unit": unit, "low": low, "high": high} for (n, unit), (low, high) in ends],
            "standing": self.standing,
            "command_seconds": self.every,
            "seconds": self.time_limit * self.dt,
            "mjcf": self.mjcf(),
        }

    def privileged(self) -> Array:
        """What no robot measures, [N, 18]."""
        own, body = self.own, self.body(self.trunk)
        masses = own["body_mass"].sum(-1).reshape(-1, 1) / self.total - 1.0
        shift = 10 * (own["body_ipos"][:, body] - self.plain["body_ipos"][body])
        friction = own["geom_friction"][:, self.geoms[0], :1]
        forces = 0.02 * join(*self.touch)
        height = self.trunk_z.reshape(-1, 1)
        return join(self.linear, height, friction, masses, shift, forces, 0.01 * self.pushed, self.gyro)

    def reflection(self) -> Reflection:
        """Left for right, as far as robots are symmetric: to 2 cm, 0.06 rad, and a twentieth of masses and gains."""
        pose = np.array([0, 0, self.height, 1, 0, 0, 0, *self.pose])
        return Reflection(self.model, pose=pose, near=0.02, alike=0.05, turned=0.06)

    def mirror(self) -> Mirror:
        """Left for right: legs change places, and sideways, roll and yaw their signs."""
        found = self.reflection()
        axial, polar = Image((0, 1, 2), tuple(found.axial.tolist())), Image((0, 1, 2), tuple(found.polar.tolist()))
        joints, command = found.positions.after(7), Image((0, 1, 2), (1, -1, -1))
        return Mirror(joined([axial, polar, joints, joints, found.controls, command]), found.controls)

    def before(self) -> Array:
        """The last action, and when each foot touched the ground, [N, 16]."""
        return join(self.ctrl, self.numbers[:, TOUCHED])

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """Tracking, less what wears a robot out; each term times its weight."""
        error, turn = self.errors()
        moving = norm(self.command) > 0.05
        contacts, off = self.contacts(), self.joints - self.default
        flight = self.time.reshape(-1, 1) - before[:, 12:16]
        landed = where(contacts & (flight > 1.5 * self.dt), (flight - 0.25).clip(-0.25, 0.25), 0.0 * flight)
        low, high = self.soft
        beyond = (low - self.joints).clip(0.0, 1e9) + (self.joints - high).clip(0.0, 1e9)
        terms = {
            "tracking": exp(-(error**2) / 0.25),
            "turning": exp(-(turn**2) / 0.25),
            "bouncing": self.linear[:, 2] ** 2,
            "rolling": (self.gyro[:, :2] ** 2).sum(-1),
            "tilt": (self.up[:, :2] ** 2).sum(-1),
            "torque": (self.torque**2).sum(-1),
            "jerk": (((action - before[:, :12]) / self.half) ** 2).sum(-1),
            "limits": beyond.sum(-1),
            "air": where(moving, landed.sum(-1), 0.0 * error),
            "pose": (off**2).sum(-1),
            "stillness": where(moving, 0.0 * error, abs(off).sum(-1)),
        }
        terms = {name: self.weights[name] * term for name, term in terms.items() if self.weights.get(name)}
        return sum(terms.values()) + 0.0 * error, terms

    def errors(self) -> tuple[Array, Array]:
        """How far speed, m/s, and yaw rate, rad/s, are off the command, [N] each."""
        return norm(self.linear[:, :2] - self.command[:, :2]), abs(self.gyro[:, 2] - self.command[:, 2])

    def metrics(self) -> Terms:
        """How far the speed, m/s, and the yaw rate, rad/s, are off the command."""
        error, turn = self.errors()
        return {"speed_error": error, "yaw_error": turn}

    def meters(self) -> Terms:
        """The command, and how the trunk moves."""
        moves = join(self.linear[:, :2], self.gyro[:, 2:])
        names = ("forwards m/s", "left m/s", "yaw rad/s")
        return {name: join(self.command[:, i : i + 1], moves[:, i : i + 1]) for i, name in enumerate(names)}

    def ending(self) -> Terms:
        """Whether the robot fell."""
        return {"fell": 1.0 * self.terminated()}

    def terminated(self) -> Array:
        """Fallen: tipped over by 60 degrees, or sunk to half the height."""
        return (self.up[:, 2] < TIPPED) | (self.trunk_z < SUNK * self.height)
