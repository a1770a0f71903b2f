"""Unitree's Go1 on flat ground: joint targets that a PD controller follows, or joint torques."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import mujoco

from pgcontrol_envs import menagerie
from pgcontrol_envs.arrays import Array
from pgcontrol_envs.legged import LEGS, NUMBERS, Legged

HIP, THIGH, CALF = ("hip", 23.7, 30.1), ("thigh", 23.7, 30.1), ("calf", 35.55, 20.06)  # N·m, rad/s
ROTOR = 0.000111842  # kg·m², before the gears of 6, 6 and 9
GEARS = (6.0, 6.0, 9.0)
RANGES = ((-0.863, 0.863), (-0.686, 4.501), (-2.818, -0.888))  # rad


def body(pos: str, mass: float, centre: str, quat: str, inertia: str) -> str:
    """The attributes and inertial element of a body."""
    return f'pos="{pos}"><inertial pos="{centre}" quat="{quat}" mass="{mass}" diaginertia="{inertia}"/>'


def leg(name: str) -> str:
    """One leg made of capsules; lengths in m, masses in kg, as in Unitree's go1_description (BSD-3-Clause)."""
    x, y = (1 if name[0] == "F" else -1), (-1 if name[1] == "R" else 1)
    hip_quat = {
        "FR": "0.507341 0.514169 0.495027 0.482891",
        "FL": "0.482891 0.495027 0.514169 0.507341",
        "RR": "0.495027 0.482891 0.507341 0.514169",
        "RL": "0.514169 0.507341 0.482891 0.495027",
    }[name]
    thigh_quat = "0.65243 -0.0272313 0.0775126 0.753383" if y < 0 else "0.753383 0.0775126 -0.0272313 0.65243"
    hip = body(
        f"{0.1881 * x} {0.04675 * y} 0",
        0.68,
        f"{-0.0049166 * x} {-0.00762615 * y} -8.865e-05",
        hip_quat,
        "0.000734064 0.000468438 0.000398719",
    )
    thigh = body(
        f"0 {0.08 * y} 0",
        1.009,
        f"-0.00304722 {-0.019315 * y} -0.0305004",
        thigh_quat,
        "0.00478717 0.00460903 0.000709268",
    )
    calf = body(
        "0 0 -0.213",
        0.195862,
        "0.00429862 0.000976676 -0.146197",
        "0.691246 0.00357467 0.00511118 0.722592",
        "0.00149767 0.00148468 3.58427e-05",
    )
    return f"""
    <body name="{name}_hip" {hip}
      <joint name="{name}_hip" class="hip"/>
      <geom class="shell" type="capsule" fromto="0 {0.02 * y} 0 0 {0.04 * y} 0" size="0.045"/>
      <body name="{name}_thigh" {thigh}
        <joint name="{name}_thigh" class="thigh"/>
        <geom class="shell" type="capsule" fromto="0 0 0 -0.02 0 -0.11" size="0.022"/>
        <geom class="shell" type="capsule" fromto="-0.02 0 -0.11 0 0 -0.2" size="0.016"/>
        <body name="{name}_calf" {calf}
          <joint name="{name}_calf" class="calf"/>
          <geom class="shell" type="capsule" fromto="0 0 0 0.02 0 -0.13" size="0.012"/>
          <geom class="shell" type="capsule" fromto="0.02 0 -0.13 0 0 -0.2" size="0.01"/>
          <geom name="{name}_foot" class="foot" pos="0 0 -0.213"/>
          <site name="{name}_foot" type="sphere" size="0.03" pos="0 0 -0.213"/>
        </body>
      </body>
    </body>"""


def mjcf(actuators: str, timestep: float) -> str:
    """The robot on a plane. Only the feet collide with it: before the trunk could, the robot has fallen."""
    joints = "".join(
        f'<default class="{name}"><joint axis="{"1 0 0" if name == "hip" else "0 1 0"}" range="{low} {high}"'
        f' armature="{ROTOR * gear**2:.6g}" frictionloss="0.2" actuatorfrcrange="{-torque} {torque}"/></default>'
        for (name, torque, _), gear, (low, high) in zip((HIP, THIGH, CALF), GEARS, RANGES, strict=True)
    )
    feet = "".join(
        f'<framelinvel name="{leg}_vel" objtype="site" objname="{leg}_foot"/>'
        f'<touch name="{leg}_touch" site="{leg}_foot"/>'
        for leg in LEGS
    )
    return f"""
<mujoco model="go1">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{timestep}" iterations="5" ls_iterations="10" cone="pyramidal" integrator="implicitfast">
    <flag eulerdamp="disable"/>
  </option>
  <size nuserdata="{NUMBERS}"/>
  <visual><headlight diffuse="0.6 0.6 0.6" ambient="0.3 0.3 0.3"/><global offwidth="1920" offheight="1080"/></visual>
  <default>
    <joint damping="0.1"/>
    {joints}
    <default class="shell"><geom contype="0" conaffinity="0" group="1" mass="0" rgba="0.25 0.27 0.3 1"/></default>
    <default class="foot">
      <geom type="sphere" size="0.023" mass="0" contype="1" conaffinity="0" condim="3" priority="1"
        friction="0.7 0.02 0.01" solimp="0.9 0.95 0.023" rgba="0.1 0.1 0.1 1"/>
    </default>
  </default>
  <asset>
    <texture name="ground" type="2d" builtin="checker" width="200" height="200"
      rgb1="0.35 0.4 0.45" rgb2="0.3 0.35 0.4"/>
    <material name="ground" texture="ground" texrepeat="2 2" texuniform="true"/>
  </asset>
  <worldbody>
    <light pos="0 0 3" dir="0 0 -1" directional="true"/>
    <geom name="ground" type="plane" size="0 0 0.05" contype="0" conaffinity="1" material="ground"/>
    <body name="trunk" pos="0 0 0.3">
      <freejoint/>
      <inertial pos="0.0223 0.002 -0.0005" quat="-0.00342088 0.705204 0.000106698 0.708996" mass="5.204"
        diaginertia="0.0716565 0.0630105 0.0168101"/>
      <geom class="shell" type="box" size="0.19 0.06 0.05" rgba="0.75 0.77 0.8 1"/>
      <geom class="shell" type="box" size="0.04 0.05 0.035" pos="0.23 0 0.01" rgba="0.2 0.2 0.25 1"/>
      <site name="imu" pos="-0.01592 -0.06659 -0.00617"/>
      <site name="centre"/>
      {"".join(map(leg, LEGS))}
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
  <sensor>
    <gyro name="gyro" site="imu"/>
    <velocimeter name="velocity" site="centre"/>
    <framezaxis name="up" objtype="body" objname="world" reftype="site" refname="imu"/>
    {feet}
  </sensor>
</mujoco>"""


def made(xml: str) -> mujoco.MjModel:
    """Compile MJCF text."""
    return mujoco.MjModel.from_xml_string(xml)


class Go1(Legged):
    """Follow a velocity command with joint targets: torque = kp (target − position) − kd speed, within the limits.

    The body's parameters are those of Unitree's go1_description (BSD-3-Clause), taken from mjlab 1.6.0 (Apache-2.0).
    The torque limits are 23.7 N·m (hip, thigh) and 35.55 N·m (calf).
    """

    id = "Go1-v0"
    pose = (-0.1, 0.8, -1.5, 0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 0.8, -1.5)
    height = 0.33
    kp, kd, scale = 35.0, 0.5, 0.8

    def make_model(self) -> mujoco.MjModel:
        """The robot with an actuator for each joint."""
        return made(self.mjcf())

    def mjcf(self) -> str:
        """The robot on the ground."""
        return mjcf(self.actuators(), self.timestep)

    def look(self) -> tuple[mujoco.MjModel, Array]:
        """Unitree's meshes, if MuJoCo Menagerie's files are installed."""
        return menagerie.look("unitree_go1", self.model) or super().look()

    def actuators(self) -> str:
        """Position servos whose targets are within `scale` of the pose."""
        kinds = [f"{leg}_{name}" for leg in LEGS for name, _, _ in (HIP, THIGH, CALF)]
        return "".join(
            f'<position name="{name}" joint="{name}" kp="{self.kp}" kv="{self.kd}"'
            f' ctrlrange="{target - self.scale} {target + self.scale}"/>'
            for name, target in zip(kinds, self.pose, strict=True)
        )


class Go1Torque(Go1):
    """Follow a velocity command with joint torques, within the motors' limits; a step is 1/50 s, as in Go1-v0."""

    id = "Go1Torque-v0"
    kp = kd = scale = None

    def actuators(self) -> str:
        """A motor for each joint."""
        return "".join(
            f'<motor name="{leg}_{name}" joint="{leg}_{name}" ctrlrange="{-torque} {torque}"/>'
            for leg in LEGS
            for name, torque, _ in (HIP, THIGH, CALF)
        )
