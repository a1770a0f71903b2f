"""The interface of a task's robot: any robot can have one; a problem is one line."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np
import pytest
from pgcontrol_envs import contract
from pgcontrol_envs.arrays import join
from pgcontrol_envs.interface import Observed, actuation
from pgcontrol_envs.task import Task, TaskError, load_model

from pgcontrol.exporting.interface import read
from pgcontrol.exporting.second import SecondSimulation, same
from pgcontrol.laws import tasks as laws

ARM = """
<mujoco model="arm">
  <asset><mesh name="shown" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>
  <worldbody>
    <geom type="mesh" mesh="shown" contype="0" conaffinity="0"/>
    <body>
      <joint name="shoulder" axis="0 1 0" damping="0.5" {limit}/>
      <geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.5"/>
      <body pos="0 0 0.5">
        <joint name="elbow" axis="0 1 0" damping="0.5" {limit}/>
        <geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.4"/>
      </body>
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>"""
MOTORS = '<motor joint="elbow" gear="-3" ctrlrange="-1 1"/><motor joint="shoulder" gear="5" ctrlrange="-1 0.5"/>'
SERVO = '<position name="servo" joint="{}" kp="20" kv="2" ctrlrange="-1 1" {}/>'
SERVOS = SERVO.format("elbow", 'forcerange="-8 8"').replace('"servo"', '"a"') + SERVO.format("shoulder", "")


class Arm(Task):
    """An arm on a table, whose actuators are in another order than its joints."""

    id = "Arm-v0"
    frame_skip = 5
    time_limit = 50
    reset_noise = 0.5
    actuators, limit = MOTORS, ""

    def make_model(self):
        return mujoco.MjModel.from_xml_string(self.mjcf())

    def mjcf(self):
        return ARM.format(actuators=self.actuators, limit=self.limit)

    def parts(self):
        joints = ["shoulder", "elbow"]
        return [
            Observed("joint speed", 0.2 * self.velocity, 0.2, joints=joints),
            Observed("joint position", self.posture - 0.3, offset=0.3, joints=joints),
        ]

    def observe(self):
        return join(*(part.value for part in self.parts()))

    def interface(self):
        parts = [part.said() for part in self.parts()]
        rates = {"timestep": self.model.opt.timestep, "substeps": self.frame_skip}
        return rates | {"observation": parts, "action": actuation(self.model), "mjcf": self.mjcf()}

    def reward(self, action, before, terminated):
        near = np.exp(-abs(self.posture).sum(-1))
        return near, {"near": near}


@pytest.mark.parametrize("actuators", [MOTORS, SERVOS])
def test_an_arm_without_base_or_commands_can_say_it(actuators):
    arm = type("Own", (Arm,), {"actuators": actuators, "limit": 'actuatorfrcrange="-4 4"'})
    laws.its_interface_describes_it(arm)
    robot = SecondSimulation(read(arm_said(arm), "interface"), 2, same(read(arm_said(arm), "interface")))
    assert robot.fallen().tolist() == [False, False]
    assert robot.interface.action.joints == ("elbow", "shoulder")


def arm_said(cls):
    env = laws.short(cls, 2)
    return env.task.interface()


@pytest.mark.parametrize(
    ("actuators", "limit", "line"),
    [
        (SERVOS, "", "interface: the actuator servo has no torque limit"),
        (
            MOTORS + SERVO.format("elbow", ""),
            'actuatorfrcrange="-4 4"',
            "interface: the actuator 0 is not a position servo or motor",
        ),
        (
            SERVOS,
            'actuatorfrcrange="-4 5"',
            "interface: the actuator a is not a position servo or motor of a hinge with symmetric",
        ),
        (
            MOTORS.replace("motor", "damper")
            .replace("-1 1", "0 1")
            .replace("-1 0.5", "0 1")
            .replace("gear", 'kv="1" gear'),
            "",
            "is not a position servo",
        ),
    ],
)
def test_actuators_of_another_kind_are_one_line(actuators, limit, line):
    with pytest.raises(TaskError, match=line):
        contract.check(type("Own", (Arm,), {"actuators": actuators, "limit": limit}))


def test_what_json_cannot_hold_is_one_line():
    with pytest.raises(TaskError, match=r"^Own.interface: returned a value that JSON cannot hold: .*ndarray"):
        contract.check(type("Own", (Arm,), {"interface": lambda self: {"pose": self.posture}}))


def test_the_model_of_a_file_needs_no_other_file(tmp_path):
    """Visual geoms with a mesh are left out; their masses are kept."""
    (tmp_path / "arm.xml").write_text(ARM.format(actuators=MOTORS, limit=""))
    text = type(
        "Filed", (Arm,), {"xml": str(tmp_path / "arm.xml"), "mjcf": Task.mjcf, "make_model": Task.make_model}
    )().mjcf()
    assert "mesh" not in text
    one, other = mujoco.MjModel.from_xml_string(text), load_model(str(tmp_path / "arm.xml"))
    np.testing.assert_allclose(one.body_mass[1:], other.body_mass[1:], rtol=1e-5)
    assert one.nu == 2
