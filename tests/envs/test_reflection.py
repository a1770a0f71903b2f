"""Tasks that are their own mirror image: mirrored states and actions give mirrored observations, and equal rewards."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np
import pytest
import torch
from pgcontrol_envs import catalog
from pgcontrol_envs.contract import check
from pgcontrol_envs.legged import Legged
from pgcontrol_envs.reflection import Image, NoImage, Reflection
from pgcontrol_envs.settings import configured
from pgcontrol_envs.task import Mirror, Task, TaskError
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import policy_spec

# test_legged.py and test_fit.py test legged robots, whose observations have noise
REFLECTED = {
    name: task
    for name, task in catalog().items()
    if task.reflection is not Task.reflection and not issubclass(task, Legged)
}
ALMOST = ("Humanoid", "InvertedPendulum")  # hips of different armature, a pole that leans by 2 mrad
EVERYTHING = {"exclude_current_positions_from_observation": False}


def test_these_tasks_have_a_reflection():
    assert {"Ant-v5", "Humanoid-v5", "Walker2d-v5", "Swimmer-v5", "Reacher-v5", "InvertedPendulum-v5"} <= {*REFLECTED}


def variants():
    for name, task in REFLECTED.items():
        yield pytest.param(task, id=name)
        if "exclude_current_positions_from_observation" in task.settings or "unobserved" in vars(task):
            yield pytest.param(configured(task, EVERYTHING), id=f"{name}, all positions")


@pytest.mark.parametrize("kind", [*variants()])
def test_the_mirror_image_does_the_mirrored_thing(kind):
    """From a random state, with random actions. Contacts are solved in another order, so rounding grows."""
    env = TaskVecEnv(kind, 2, seed=0, threads=1)
    env.reset()
    found, mirror, physics = env.task.reflection(), env.task.mirror(), env.physics
    assert found
    assert mirror
    rng = np.random.default_rng(0)
    physics.qvel[0] = 0.1 * rng.normal(size=env.task.model.nv)
    for image, state in ((found.positions, physics.qpos), (found.velocities, physics.qvel)):
        state[1] = image.of(state[0])
    physics.forward(np.arange(2))
    obs, action = (Image(*part) for part in mirror)
    seen = env.task.observe()
    np.testing.assert_allclose(seen[1], obs.of(seen[0]), atol=1e-9)
    near = 0.1 if kind.__name__ in ALMOST else 1e-4
    half, middle = 0.5 * (env.action_high - env.action_low), 0.5 * (env.action_high + env.action_low)
    for _ in range(8):
        push = rng.uniform(-0.5, 0.5, len(half))
        step = env.step((middle + half * torch.from_numpy(np.stack((push, action.of(push))))).float())
        seen = step.obs.numpy()
        np.testing.assert_allclose(seen[1], obs.of(seen[0]), atol=near)
        torch.testing.assert_close(step.reward[0], step.reward[1], atol=near, rtol=1e-4)
        assert step.terminated[0] == step.terminated[1]
        if step.terminated.any():
            break


def test_the_image_of_a_legged_robot():
    """Its trunk's centre of mass is 2 mm to the left, so it is its image only to 4 mm."""
    robot = catalog()["Go1-v0"]()
    with pytest.raises(NoImage, match="body trunk: no body of the same mass and inertia is at its image"):
        Reflection(robot.model)
    mirror = robot.mirror()
    assert mirror
    assert mirror.action == ((3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8), (-1, 1, 1) * 4)
    assert mirror.obs[0][-3:] == (42, 43, 44)
    assert mirror.obs[1][-3:] == (1, -1, -1)


BODY = """
<mujoco>
  <worldbody>
    <body name="middle" pos="0 0 1">
      <freejoint/>
      <geom type="box" size=".1 .1 .1"/>
      <body name="left" pos="0 .1 0">
        <joint name="left" axis="1 0 0" {left}/>
        <geom type="capsule" size=".02" fromto="0 0 0 0 .2 0"/>
      </body>
      <body name="right" pos="0 -.1 0">
        <joint name="right" axis="1 0 0" {right}/>
        <geom type="capsule" size=".02" fromto="0 0 0 0 {end} 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="one" joint="left" gear="2" ctrlrange="-1 1"/>
    {motor}
  </actuator>
</mujoco>
"""
GOOD = {"left": "", "right": "", "end": "-.2", "motor": '<motor name="two" joint="right" gear="-2" ctrlrange="-1 1"/>'}

JOINT = "joint left: body right has no joint at its image, with the same axis and range"


def body(**changes):
    return mujoco.MjModel.from_xml_string(BODY.format(**GOOD | changes))


def test_images_follow_from_the_geometry():
    found = Reflection(body())
    assert found.bodies == [0, 1, 3, 2]
    assert found.positions == ((0, 1, 2, 3, 4, 5, 6, 8, 7), (1, -1, 1, 1, -1, 1, -1, -1, -1))
    assert found.velocities == ((0, 1, 2, 3, 4, 5, 7, 6), (1, -1, 1, -1, 1, -1, -1, -1))
    assert found.controls == ((1, 0), (1, 1))  # the joints' signs and the gears' cancel
    np.testing.assert_array_equal(found.positions.of(found.positions.of(np.arange(9.0))), np.arange(9.0))
    assert found.velocities.after(6) == ((1, 0), (-1, -1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end": "-.3"}, "body left: no body of the same mass and inertia is at its image"),
        ({"right": 'range="-1 .5" limited="true"'}, JOINT),
        ({"right": 'pos="0 .05 .05"'}, JOINT),
        ({"motor": ""}, "actuator one: no actuator of a joint is its image, with the same gear, gain, bias and ranges"),
        (
            {"motor": GOOD["motor"].replace("-2", "3")},
            "actuator one: no actuator of a joint is its image, with the same gear, gain, bias and ranges",
        ),
    ],
)
def test_a_body_that_is_not_symmetric_is_refused(changes, said):
    with pytest.raises(NoImage) as refused:
        Reflection(body(**changes))
    assert str(refused.value) == said


def test_a_pose_without_an_image_is_refused():
    with pytest.raises(NoImage, match="body left: no body of the same mass and inertia is at its image"):
        Reflection(body(), pose=np.array([0, 0, 1, 1, 0, 0, 0, 0.5, 0.5]))
    wheel = '<mujoco><worldbody><body><joint axis="1 0 0"/><geom type="sphere" size=".1"/></body></worldbody></mujoco>'
    model = mujoco.MjModel.from_xml_string(wheel)
    assert Reflection(model).positions == ((0,), (-1,))
    with pytest.raises(NoImage, match=r"^pose: entry 0 of qpos is 0\.5, which is not symmetric$"):
        Reflection(model, pose=np.array([0.5]))


def test_a_task_whose_observation_the_default_mirror_does_not_fit():
    swimmer = catalog()["Swimmer-v5"]

    class Turned(swimmer):
        id = "Turned-v0"

        def observe(self):
            return -super().observe()[:, ::-1].copy()

    class Wrong(swimmer):
        id = "Wrong-v0"

        def mirror(self):
            found = super().mirror()
            assert found
            order, sign = found.obs
            return Mirror((order, tuple(-one for one in sign)), found.action)

    check(swimmer)
    with pytest.raises(TaskError, match=r"^Wrong\.mirror: the entries \[.*\] of the observation are not mirrored$"):
        check(Wrong)
    with pytest.raises(TaskError, match=r"^Turned\.reflection: the entries \[.*\] of the observation are not mirrored"):
        check(Turned)


def test_a_body_that_became_asymmetric_can_be_trained_but_not_symmetrically():
    swimmer = catalog()["Swimmer-v5"]

    class Limping(swimmer):
        id = "Limping-v0"

        def make_model(self):
            model = super().make_model()
            model.jnt_range[-1, 0] = -0.5
            return model

    check(Limping)
    env = TaskVecEnv(Limping, 1, seed=0, threads=1)
    with pytest.raises(InputError, match=r"^symmetric = True: the model of Swimmer-v5 is not symmetric: joint "):
        policy_spec(configure({"env": "Swimmer-v5", "symmetric": True}), env)


ARMS = """
<mujoco>
  <worldbody>
    <body name="left" pos="0 .5 0">
      <joint name="left" type="{kind}" axis="1 0 0"/>
      <inertial pos="0 0 -.2" mass="1" diaginertia=".02 .03 .04"/>
    </body>
    <body name="right" pos="0 -.5 0" euler="0 0 {turned}">
      <joint name="right" type="{kind}" axis="1 0 0"/>
      <inertial pos="0 0 -.2" mass="1" diaginertia=".02 .03 {inertia}" euler="0 0 -{turned}"/>
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>
"""
SERVO = '<position name="{0}" joint="{0}" kp="{1}" forcerange="{2}"/>'
MOTOR = '<motor name="{0}" joint="{0}" ctrlrange="{1}"/>'
PAIR = SERVO.format("left", 30, "-5 5") + SERVO.format("right", 30, "-5 5")


def arms(actuators=PAIR, kind="hinge", turned=0, inertia=0.04):
    return mujoco.MjModel.from_xml_string(ARMS.format(actuators=actuators, kind=kind, turned=turned, inertia=inertia))


def test_two_equal_arms_are_images():
    assert Reflection(arms()).controls == ((1, 0), (-1, -1))
    assert Reflection(arms("", "ball")).bodies == [0, 2, 1]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: arms(SERVO.format("left", 30, "-5 5") + SERVO.format("right", 1, "-5 5")), "actuator left"),
        (lambda: arms(SERVO.format("left", 30, "-5 5") + SERVO.format("right", 30, "-2 2")), "actuator left"),
        (lambda: arms(SERVO.format("left", 30, "-5 5") + MOTOR.format("right", "-5 5")), "actuator left"),
        (lambda: arms(MOTOR.format("left", "-5 2") + MOTOR.format("right", "-5 2")), "actuator left"),
        (lambda: arms(inertia=0.045), "body left"),
        (lambda: arms("", "ball", turned=20), "joint left"),
    ],
)
def test_what_moves_differently_is_no_image(model, said):
    with pytest.raises(NoImage, match=f"^{said}: "):
        Reflection(model())


def test_actuators_that_are_almost_alike_can_be_allowed():
    pair = SERVO.format("left", 30, "-5 5") + SERVO.format("right", 31, "-5 5")
    with pytest.raises(NoImage):
        Reflection(arms(pair))
    assert Reflection(arms(pair), alike=0.05).controls == ((1, 0), (-1, -1))
