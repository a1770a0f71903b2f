"""A second simulation of a robot, made only from its interface: plain MuJoCo, one MjData per episode.

It deliberately shares no code with tasks and their physics. It observes and acts as the interface describes, so errors
in the interface become visible.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

from pgcontrol.arguments import SecondPhysics
from pgcontrol.exporting.interface import Interface
from pgcontrol.options import InputError, pick, those_of
from pgcontrol.text import one_line

Solver, Integrator = mujoco.mjtSolver, mujoco.mjtIntegrator
SOLVERS = {"CG": int(Solver.mjSOL_CG), "Newton": int(Solver.mjSOL_NEWTON), "PGS": int(Solver.mjSOL_PGS)}
INTEGRATORS = {
    "Euler": int(Integrator.mjINT_EULER),
    "implicitfast": int(Integrator.mjINT_IMPLICITFAST),
    "implicit": int(Integrator.mjINT_IMPLICIT),
    "RK4": int(Integrator.mjINT_RK4),
}
ITERATIONS = 100  # solver iterations, enough to converge
START = 0.1  # rad, largest deviation of a start angle


class SecondSimulation:
    """N copies of a robot.

    Attributes:
        model: the robot, with actuators as in the interface.
        physics: differences from training's physics, with the names of solver and integrator.
        copies: one MjData each.
        last: the policy's last action, [N, A].
    """

    def __init__(self, interface: Interface, count: int, physics: SecondPhysics, where: str = "interface"):
        """Raises InputError, prefixed with `where`, if the model or a name does not fit."""
        self.interface, self.model = interface, _model(interface, where)
        self.physics = _set(self.model, physics, interface)
        dt = self.model.opt.timestep
        self._substeps = round(interface.control_dt / dt)
        if abs(self._substeps * dt - interface.control_dt) > 1e-9:
            raise InputError(f"--timestep {dt:g}: must divide the control step of {interface.control_dt:g} s")
        self.copies = [mujoco.MjData(self.model) for _ in range(count)]
        self.last, self._queue = np.zeros((count, 0)), deque[np.ndarray]()
        self._free = _free_joint(self.model, interface.base, where)
        self._joints = {name: self.model.joint(name) for name in _hinges(self.model)}
        self._measures = [
            pick(f"part of an observation, {where}.observation[{i}].name", part.name, QUANTITIES)
            for i, part in enumerate(interface.observation)
        ]
        for i, part in enumerate(interface.observation):
            for name in part.joints:
                pick(f"joint, {where}.observation[{i}].joints", name, self._joints)
        needing = [part.name for part in interface.observation if part.name in OF_THE_BASE]
        needing += [command.name for command in interface.commands]
        if self._free is None and needing:
            raise InputError(f"{where}.base: expected the body with a free joint, which {needing[0]!r} needs")
        for i, command in enumerate(interface.commands):
            pick(f"command, {where}.commands[{i}].name", command.name, ACHIEVED)
        for name in interface.pose:
            pick(f"joint, {where}.pose.joints", name, self._joints)
        self.begin()

    def begin(self, rng: np.random.Generator | None = None) -> None:
        """Start at rest in the default pose; with `rng`, angles vary by up to START rad."""
        for data in self.copies:
            mujoco.mj_resetData(self.model, data)
            for name, angle in self.interface.pose.items():
                data.qpos[self._joints[name].qposadr[0]] = angle + (rng.uniform(-START, START) if rng else 0.0)
            if self._free is not None and self.interface.height is not None:
                data.qpos[self._free.qposadr[0] + 2] = self.interface.height
            mujoco.mj_forward(self.model, data)
        action = self.interface.action
        self.last = np.tile(0.5 * (action.low + action.high), (len(self.copies), 1))
        self._queue = deque([self.last] * (self.physics.latency + 1), self.physics.latency + 1)

    def place(self, i: int, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Set the state of copy i."""
        self.copies[i].qpos[:], self.copies[i].qvel[:] = qpos, qvel
        mujoco.mj_forward(self.model, self.copies[i])

    def observe(self, command: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Observations [N, O] for commands [N, C]; noise comes from `rng`."""
        self._command = command
        parts = []
        for part, measure in zip(self.interface.observation, self._measures, strict=True):
            value = part.scale * (measure(self, part.joints) - part.offset)
            if rng:
                value = value + self.physics.noise * part.noise * rng.uniform(-1.0, 1.0, value.shape)
            parts.append(value)
        return np.concatenate(parts, 1)

    def step(self, action: np.ndarray, going: np.ndarray) -> None:
        """One control step of the copies `going`, bool [N], with the policy's `action` [N, A]."""
        self.last = action
        self._queue.append(action)
        with _quiet():
            for i in np.flatnonzero(going):
                self.copies[i].ctrl[:] = self._queue[0][i]
                mujoco.mj_step(self.model, self.copies[i], self._substeps)

    def fallen(self) -> np.ndarray:
        """Whose base has tipped over or sunk, or whose simulation became unstable, bool [N]."""
        qpos = self.state("qpos")
        broken: Any = (~np.less(abs(qpos), 1e6)).any(1)
        if self._free is None:
            return broken
        tilt = np.arccos(self.rotation()[:, 2, 2].clip(-1.0, 1.0))
        sunk = qpos[:, self._free.qposadr[0] + 2] < self.interface.sunk
        return broken | sunk | (tilt > self.interface.tipped)

    def errors(self, command: np.ndarray) -> dict[str, np.ndarray]:
        """Errors of the speed, m/s, and of the yaw rate, rad/s, for commands [N, C]: [N] each, if commanded."""
        off = {one.name: ACHIEVED[one.name](self) - command[:, i] for i, one in enumerate(self.interface.commands)}
        yaw = off.pop("yaw rate", None)
        errors = {"speed_error": np.sqrt(sum(x**2 for x in off.values()))} if off else {}
        return errors if yaw is None else errors | {"yaw_error": abs(yaw)}

    def state(self, field: str) -> np.ndarray:
        """A field of all copies, [N, ...]."""
        return np.stack([getattr(data, field) for data in self.copies])

    def rotation(self) -> np.ndarray:
        """Rotation from the base's axes to the world's, [N, 3, 3]."""
        start = self._free.qposadr[0] + 3
        w, x, y, z = self.state("qpos")[:, start : start + 4].T
        rows = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        return np.moveaxis(np.array(rows), -1, 0)

    def turning(self, *_: Any) -> np.ndarray:
        """Roll, pitch and yaw rate of the base in its own axes, [N, 3]."""
        start = self._free.dofadr[0] + 3
        return self.state("qvel")[:, start : start + 3]

    def speed(self, *_: Any) -> np.ndarray:
        """Velocity of the base's origin in the base's axes, [N, 3]."""
        start = self._free.dofadr[0]
        return np.einsum("nij,ni->nj", self.rotation(), self.state("qvel")[:, start : start + 3])

    def gravity(self, *_: Any) -> np.ndarray:
        """The direction down in the base's axes, [N, 3]."""
        return -self.rotation()[:, 2]

    def positions(self, joints: tuple[str, ...]) -> np.ndarray:
        """Positions of joints, [N, n]."""
        return self.state("qpos")[:, [self._joints[name].qposadr[0] for name in joints]]

    def speeds(self, joints: tuple[str, ...]) -> np.ndarray:
        """Speeds of joints, [N, n]."""
        return self.state("qvel")[:, [self._joints[name].dofadr[0] for name in joints]]

    def answered(self, *_: Any) -> np.ndarray:
        """The last action, [N, A]."""
        return self.last

    def commanded(self, *_: Any) -> np.ndarray:
        """The commands, [N, C]."""
        return self._command


QUANTITIES: Mapping[str, Callable[[SecondSimulation, tuple[str, ...]], np.ndarray]] = {
    "angular velocity": SecondSimulation.turning,
    "linear velocity": SecondSimulation.speed,
    "gravity": SecondSimulation.gravity,
    "joint position": SecondSimulation.positions,
    "joint speed": SecondSimulation.speeds,
    "last action": SecondSimulation.answered,
    "command": SecondSimulation.commanded,
}
ACHIEVED: Mapping[str, Callable[[SecondSimulation], np.ndarray]] = {
    "forward speed": lambda simulation: simulation.speed()[:, 0],
    "sideways speed": lambda simulation: simulation.speed()[:, 1],
    "yaw rate": lambda simulation: simulation.turning()[:, 2],
}
OF_THE_BASE = ("angular velocity", "linear velocity", "gravity")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MuJoCo from writing warnings to MUJOCO_LOG.TXT: an unstable simulation counts as a fall."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def same(interface: Interface) -> SecondPhysics:
    """Training's physics with nominal values, and its sensor noise."""
    neutral = {"latency": 0, "noise": 1.0, "friction": 1.0, "frictionloss": 1.0, "damping": 1.0}
    return SecondPhysics(solver="same", integrator="same", timestep=interface.timestep, **neutral)


def _model(interface: Interface, where: str) -> mujoco.MjModel:
    """The robot with the interface's actuators instead of its own actuators and sensors."""
    action = interface.action
    try:
        spec = mujoco.MjSpec.from_string(interface.mjcf)
    except ValueError as error:
        raise InputError(f"{where}.mjcf: MuJoCo cannot read it: {one_line(error)}") from None
    for one in (*spec.actuators, *spec.sensors, *spec.keys):
        spec.delete(one)
    joints = {joint.name: joint for joint in spec.joints}
    for i, name in enumerate(action.joints):
        joint = pick(f"joint, {where}.action.joints", name, joints)
        joint.actfrclimited, joint.actfrcrange = mujoco.mjtLimited.mjLIMITED_TRUE, [-action.limit[i], action.limit[i]]
        drive = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        drive.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        drive.gainprm[0], drive.biasprm[1], drive.biasprm[2] = action.gain[i], -action.kp[i], -action.kd[i]
    try:
        return spec.compile()
    except ValueError as error:
        raise InputError(f"{where}.mjcf: MuJoCo cannot compile it: {one_line(error)}") from None


def _set(model: mujoco.MjModel, physics: SecondPhysics, interface: Interface) -> SecondPhysics:
    """Set a model's physics; returns the resolved settings."""
    opt = model.opt
    solver = _chosen(physics.solver, SOLVERS, opt.solver)
    integrator = _chosen(physics.integrator, INTEGRATORS, opt.integrator)
    if solver != "same":
        opt.solver, opt.cone = SOLVERS[solver], mujoco.mjtCone.mjCONE_ELLIPTIC
        opt.iterations = opt.ls_iterations = ITERATIONS
    if integrator != "same":
        opt.integrator = INTEGRATORS[integrator]
    opt.timestep = physics.timestep or 0.5 * interface.timestep
    opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # a robot that was reset would seem to stand
    model.geom_friction[:, 0] *= physics.friction
    model.pair_friction[:, :2] *= physics.friction
    model.dof_frictionloss *= physics.frictionloss
    model.dof_damping *= physics.damping
    said = {"solver": solver, "integrator": integrator, "timestep": opt.timestep}
    return replace(those_of(SecondPhysics, physics), **said)


def _chosen(said: str, table: Mapping[str, int], theirs: int) -> str:
    """A name in the table, or `same`; `other` becomes the first one that differs from training's."""
    return next(name for name, number in table.items() if number != theirs) if said == "other" else said


def _hinges(model: mujoco.MjModel) -> list[str]:
    """Names of joints with one degree of freedom."""
    single = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
    return [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] in single]


def _free_joint(model: mujoco.MjModel, base: str | None, where: str) -> Any:
    """The free joint of the base; None if there is no base."""
    if base is None:
        return None
    bodies = {model.body(i).name: model.body(i) for i in range(model.nbody)}
    address = pick(f"body, {where}.base", base, bodies).jntadr[0]
    if address < 0 or model.jnt_type[address] != mujoco.mjtJoint.mjJNT_FREE:
        raise InputError(f"{where}.base: the body {base!r} has no free joint")
    return model.joint(address)
