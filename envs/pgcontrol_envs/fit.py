"""Adapts a quadruped's MJCF from any source: adds what a legged task needs and the file does not have."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import mujoco
import numpy as np

from pgcontrol_envs.task import TaskError

NEAR = 0.5  # a robot may start this fraction of its height above or below the ground


class Robot(Protocol):
    """The class attributes of a robot; see legged.Legged."""

    trunk: ClassVar[Any]
    feet: ClassVar[Any]
    pose: ClassVar[Any]
    height: ClassVar[Any]
    timestep: ClassVar[Any]
    scale: ClassVar[Any]
    kp: ClassVar[Any]
    kd: ClassVar[Any]

    @property
    def source(self) -> str:
        """Path of the model's file."""
        ...


def fit(spec: mujoco.MjSpec, robot: Robot, legs: Sequence[str], numbers: int) -> mujoco.MjSpec:
    """Add sensors, sites, ground, userdata and an actuator for each joint to the spec; remove keyframes.

    The file's sensors are replaced by those that legged.Legged reads. If the robot has a `kp`, actuators are position
    servos, else motors; their torque limits are taken from the file's joints or actuators.

    Args:
        spec: the parsed file; changed in place.
        robot: names and gains.
        legs: names of the legs; they prefix the names of the sensors.
        numbers: number of userdata that the task needs.

    Raises:
        TaskError: a body, a foot or a limit is missing, or the pose has the wrong length. One line names it.
        ValueError: MuJoCo cannot compile the file.
    """

    def wrong(what: str) -> TaskError:
        return TaskError(f"{type(robot).__name__}: {robot.source} {what}")

    if (trunk := spec.body(robot.trunk)) is None:
        names = ", ".join(body.name for body in spec.bodies if body.name)
        raise wrong(f"has no body {robot.trunk!r} for the trunk; its bodies are {names}")
    joints = [joint for joint in trunk.find_all("joint") if joint.type != mujoco.mjtJoint.mjJNT_FREE]
    if len(joints) != len(robot.pose) or len(joints) != 3 * len(legs):
        names = ", ".join(joint.name for joint in joints)
        raise wrong(f"has {len(joints)} joints and the pose {len(robot.pose)}; both must be 12; its joints: {names}")
    if free := [joint.name for joint in joints if not np.ptp(joint.range)]:
        raise wrong(f"has no range for the joints {', '.join(free)}")
    if len(trunk.find_all("joint")) == len(joints):
        trunk.add_freejoint()
    torques = dict(_torques(spec))
    if unlimited := [joint.name for joint in joints if not np.any(torques.get(joint.name))]:
        what = "add an actuatorfrcrange to the joint, a forcerange to its actuator, or a ctrlrange to its motor"
        raise wrong(f"has no torque limit for the joints {', '.join(unlimited)}: {what}")
    if uneven := [joint.name for joint in joints if -torques[joint.name][0] != torques[joint.name][1]]:
        low, high = torques[uneven[0]]
        raise wrong(f"has different torque limits in the two directions of {uneven[0]}: {low:g} and {high:g} N·m")
    for part in (*spec.keys, *spec.sensors, *spec.actuators):
        spec.delete(part)
    for joint, target in zip(joints, robot.pose, strict=True):
        most = torques[joint.name][1]
        actuator = spec.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.forcerange = actuator.ctrlrange = (-most, most)
        if robot.kp is None:
            actuator.set_to_motor()
        else:
            actuator.set_to_position(kp=robot.kp, kv=robot.kd)
            actuator.ctrlrange = (target - robot.scale, target + robot.scale)
    trunk.add_site(name="centre")
    _sense(spec, "gyro", mujoco.mjtSensor.mjSENS_GYRO, "centre")
    _sense(spec, "velocity", mujoco.mjtSensor.mjSENS_VELOCIMETER, "centre")
    up = spec.add_sensor(name="up", type=mujoco.mjtSensor.mjSENS_FRAMEZAXIS, objname="world", refname="centre")
    up.objtype, up.reftype = mujoco.mjtObj.mjOBJ_BODY, mujoco.mjtObj.mjOBJ_SITE
    if not len({*robot.feet}) == len(robot.feet) == len(legs):
        raise TaskError(f"{type(robot).__name__}: feet: expected {len(legs)} different names, got {robot.feet}")
    feet = [_foot(spec, name) for name in robot.feet]
    for name, foot in zip(robot.feet, feet, strict=True):
        if foot is None:
            raise wrong(f"has no geom {name!r} for a foot, and no body {name!r} with a geom that can collide")
        foot.name, foot.priority = name, 1 + max(geom.priority for geom in spec.geoms)
    compiled = spec.copy()  # only there, capsules between two points and meshes have a centre
    compiled.compiler.fusestatic = False  # a foot must stay in the body that gets the site
    model = compiled.compile()
    for leg, name, foot in zip(legs, robot.feet, feet, strict=True):
        geom = model.geom(name).id
        foot.parent.add_site(name=f"{leg}_foot", pos=model.geom_pos[geom], size=[1.3 * model.geom_rbound[geom]] * 3)
        _sense(spec, f"{leg}_touch", mujoco.mjtSensor.mjSENS_TOUCH, f"{leg}_foot")
        _sense(spec, f"{leg}_vel", mujoco.mjtSensor.mjSENS_FRAMELINVEL, f"{leg}_foot")
    if all(geom.type != mujoco.mjtGeom.mjGEOM_PLANE for geom in spec.geoms):
        _ground(spec)
    spec.nuserdata, spec.option.timestep = numbers, robot.timestep
    return spec


def require_stance(model: mujoco.MjModel, robot: Robot, feet: np.ndarray) -> None:
    """Check the start: joints within their ranges, and the lowest of the geoms `feet` [4] near the ground.

    Raises:
        TaskError: one line names the joint, or the distance from the ground.
    """
    for joint, angle in zip(map(model.joint, range(1, model.njnt)), robot.pose, strict=True):
        low, high = joint.range
        if model.jnt_limited[joint.id] and not low <= angle <= high:
            what = f"{joint.name} at {angle:g} rad is outside its range, {low:.4g} to {high:.4g}"
            raise TaskError(f"{type(robot).__name__}: pose: {what}")
    data = mujoco.MjData(model)
    data.qpos[:3], data.qpos[7:] = (0, 0, robot.height), robot.pose
    mujoco.mj_kinematics(model, data)
    gap = float((data.geom_xpos[feet, 2] - model.geom_rbound[feet]).min())
    if abs(gap) > NEAR * robot.height:
        side = "above" if gap > 0 else "below"
        what = f"with {robot.height:g} m, the lowest foot starts {abs(gap):.2f} m {side} the ground (z = 0)"
        raise TaskError(f"{type(robot).__name__}: height: {what}; try {robot.height - gap:.2f}")


def _torques(spec: mujoco.MjSpec) -> Iterator[tuple[str, np.ndarray]]:
    """The torque limits [2] of each joint for which the file has them, N·m; a joint's own override an actuator's."""
    for actuator in spec.actuators:
        motor = actuator.biastype == mujoco.mjtBias.mjBIAS_NONE
        gear, gain = actuator.gear[0], actuator.gainprm[0]
        if np.ptp(actuator.forcerange):
            yield actuator.target, np.sort(gear * actuator.forcerange)
        elif motor and np.ptp(actuator.ctrlrange):
            yield actuator.target, np.sort(gear * gain * actuator.ctrlrange)
    for joint in spec.joints:
        if np.ptp(joint.actfrcrange):
            yield joint.name, np.array(joint.actfrcrange)


def _foot(spec: mujoco.MjSpec, name: str) -> Any:
    """The geom of that name, or the last geom of the body of that name that can collide."""
    if (geom := spec.geom(name)) is not None or (body := spec.body(name)) is None:
        return geom
    touching = [geom for geom in body.geoms if geom.contype or geom.conaffinity]
    return touching[-1] if touching else None


def _ground(spec: mujoco.MjSpec) -> None:
    """Add a checkered floor and a light."""
    name, two = "pgcontrol ground", mujoco.mjtTexture.mjTEXTURE_2D
    tiles = spec.add_texture(name=name, type=two, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER, width=200, height=200)
    tiles.rgb1, tiles.rgb2 = (0.5, 0.5, 0.5), (0.3, 0.3, 0.3)
    material = spec.add_material(name=name, texuniform=True, texrepeat=(2, 2))
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    spec.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 0.05), material=name)
    spec.worldbody.add_light(pos=(0, 0, 3), dir=(0, 0, -1), type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)


def _sense(spec: mujoco.MjSpec, name: str, kind: Any, site: str) -> None:
    sensor = spec.add_sensor(name=name, type=kind, objname=site)
    sensor.objtype = mujoco.mjtObj.mjOBJ_SITE
