"""A quadruped from a third-party MJCF: other names and order, no sensors, no ground, other actuators."""

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from pgcontrol_envs import contract
from pgcontrol_envs.legged import Legged
from pgcontrol_envs.reflection import NoImage
from pgcontrol_envs.settings import configured
from pgcontrol_envs.task import TaskError
from pgcontrol_envs.values import keywords
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.laws import tasks as laws
from pgcontrol.laws.base import laws_of
from tests.laws.asking import ask

LEGS = {"lf": (0.2, 0.1), "rf": (0.2, -0.1), "lh": (-0.2, 0.1), "rh": (-0.2, -0.1)}


def leg(name: str, x: float, y: float) -> str:
    """A leg of 0.4 m, whose foot is a geom without a name."""
    side = 0.05 if y > 0 else -0.05
    return f"""
      <body name="{name}_hip" pos="{x} {y} 0">
        <joint name="{name}_haa" axis="1 0 0" range="-0.9 0.9"/><geom type="sphere" size="0.04" mass="0.5"/>
        <body name="{name}_thigh" pos="0 {side} 0">
          <joint name="{name}_hfe" axis="0 1 0" range="-2 2"/>
          <geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02" mass="0.8" contype="0" conaffinity="0"/>
          <body name="{name}_shank" pos="0 0 -0.2">
            <joint name="{name}_kfe" axis="0 1 0" range="-2.6 -0.2"/>
            <geom type="capsule" fromto="0 0 0 0 0 -0.18" size="0.015" mass="0.2" contype="0" conaffinity="0"/>
            <geom type="sphere" pos="0 0 -0.2" size="0.025" mass="0.05"/>
            <geom type="sphere" pos="0 0 -0.2" size="0.03" mass="0" contype="0" conaffinity="0"/>
          </body>
        </body>
      </body>"""


JOINTS = [f"{name}_{joint}" for name in LEGS for joint in ("haa", "hfe", "kfe")]
# on a geared motor, on a servo, and within the joint's own limits
TORQUES = {"haa": 20.0, "hfe": 25.0, "kfe": 30.0}
ACTUATORS = "".join(
    f'<motor name="m_{joint}" joint="{joint}" gear="4" ctrlrange="-5 5"/>'
    if "haa" in joint
    else f'<position name="m_{joint}" joint="{joint}" kp="9" forcerange="-25 25" ctrlrange="-2 2"/>'
    for joint in reversed(JOINTS)
    if "kfe" not in joint
)
DOG = f"""
<mujoco model="dog">
  <compiler angle="radian"/>
  <option timestep="0.001"/>
  <worldbody>
    <body name="torso" pos="0 0 0.5">
      <geom type="box" size="0.25 0.1 0.05" mass="8"/>
      {"".join(leg(name, *place) for name, place in LEGS.items())}
    </body>
  </worldbody>
  <actuator>{ACTUATORS}</actuator>
  <sensor><accelerometer name="gyro" site="nose"/></sensor>
  <keyframe><key ctrl="0 0 0 0 0 0 0 0"/></keyframe>
</mujoco>""".replace('range="-2.6 -0.2"/>', 'range="-2.6 -0.2" actuatorfrcrange="-30 30"/>').replace(
    '<geom type="box"', '<site name="nose" pos="0.2 0 0"/><geom type="box"'
)
POSE = (0.0, 0.7, -1.4) * 4
FEET = tuple(f"{name}_shank" for name in LEGS)
PLAIN = {"noise": 0.0, "friction": (0.7, 0.7), "masses": (1.0, 1.0), "load": (0.0, 0.0), "shift": 0.0}
PLAIN |= dict.fromkeys(("gains", "armature", "frictionloss"), (1.0, 1.0)) | {"push": 0.0, "standing": 1.0}


def made(folder, xml: str = DOG, **more) -> type[Legged]:
    """The robot of a file."""
    file = folder / "dog.xml"
    file.write_text(xml)
    said = {"id": "Dog-v0", "xml": str(file), "trunk": "torso", "feet": FEET}
    said |= {"pose": POSE, "height": 0.36, "kp": 60.0, "kd": 1.0, "scale": 0.6}
    return type("Dog", (Legged,), said | {"__module__": __name__} | more)


@pytest.fixture(scope="module")
def dog(tmp_path_factory):
    return made(tmp_path_factory.mktemp("dog"))


def robot(env: TaskVecEnv) -> Legged:
    """Its task."""
    assert isinstance(env.task, Legged)
    return env.task


def middle(env):
    return ((env.action_low + env.action_high) / 2).expand(env.num_envs, -1)


@pytest.mark.parametrize("law", laws_of(laws))
def test_it_keeps_the_laws(law, dog):
    ask(laws, law, dog)


def test_what_the_model_lacked_is_there(dog):
    contract.check(dog)
    env = TaskVecEnv(configured(dog, PLAIN), 4, seed=0, threads=1)
    model, task = env.task.model, robot(env)
    assert env.control_dt == pytest.approx(0.02)
    assert [model.actuator(i).name for i in range(model.nu)] == JOINTS
    limits = [TORQUES[joint.rpartition("_")[2]] for joint in JOINTS]
    np.testing.assert_allclose(model.actuator_forcerange, np.stack((np.negative(limits), limits), 1))
    np.testing.assert_allclose(middle(env)[0], POSE, atol=1e-6)
    assert (model.geom_pos[task.geoms] == [0, 0, -0.2]).all()
    assert (model.geom_size[task.geoms, 0] == 0.025).all()
    env.reset()
    for _ in range(150):
        assert not env.step(middle(env)).terminated.any()
    assert task.contacts().all()
    error, turn = task.errors()
    assert error.max() < 0.02
    assert turn.max() < 0.02
    forces = np.concatenate(task.touch, 1).sum(1)
    np.testing.assert_allclose(forces, 9.81 * model.body_mass.sum(), rtol=0.02)


def test_without_gains_its_actions_are_torques(dog, tmp_path):
    task = made(tmp_path, kp=None, kd=None, scale=None)
    assert {"kp", "kd", "scale"} <= keywords(dog).keys()
    assert not {"kp", "kd", "scale"} & keywords(task).keys()
    env = TaskVecEnv(configured(task, {"gains": (1.0, 1.0)}), 2, seed=0, threads=1)
    limits = [TORQUES[joint.rpartition("_")[2]] for joint in JOINTS]
    assert torch.equal(env.action_high, torch.tensor(limits))
    env.reset()
    env.step(0 * middle(env) + 7.0)
    assert (robot(env).torque == 7.0).all()


def test_a_mirrored_action_moves_it_as_its_mirror_image(dog):
    env = TaskVecEnv(configured(dog, PLAIN), 2, seed=0, threads=1)
    env.reset()
    (order, sign), (legs, hips) = (tuple(map(np.array, part)) for part in robot(env).mirror())
    for array, first in ((env.physics.qpos, [1, -1, 1, 1, -1, 1, -1]), (env.physics.qvel, [1, -1, 1, -1, 1, -1])):
        array[1, : len(first)] = array[0, : len(first)] * first
        array[1, len(first) :] = array[0, len(first) :][legs] * hips
    env.physics.forward()
    rng = np.random.default_rng(0)
    for _ in range(5):
        half = robot(env).half * rng.uniform(-0.3, 0.3, 12)
        obs = env.step(torch.from_numpy(robot(env).middle + np.stack((half, half[legs] * hips))).float()).obs[:, :45]
        np.testing.assert_allclose(obs[1], obs[0].numpy()[order] * sign, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "old", "new", "says"),
    [
        ({"trunk": "base"}, "", "", "has no body 'base' for the trunk; its bodies are world, torso, lf_hip,"),
        ({"feet": ("lf_foot", "b", "c", "d")}, "", "", "has no geom 'lf_foot' for a foot, and no body 'lf_foot' with"),
        ({"pose": POSE[:9]}, "", "", "has 12 joints and the pose 9; both must be 12; its joints: lf_haa, lf_hfe,"),
        (
            {},
            '<joint name="rh_hfe" axis="0 1 0" range="-2 2"/>',
            "",
            "has 11 joints and the pose 12",
        ),
        ({"pose": (0.0, 0.7, -2.8) * 4}, "", "", "Dog: pose: lf_kfe at -2.8 rad is outside its range, -2.6 to -0.2"),
        ({"height": 36}, "", "", r"Dog: height: with 36 m, the lowest foot starts 35.* m above the ground.*; try 0.3"),
        ({"height": 0.1}, "", "", "Dog: height: with 0.1 m, the lowest foot starts 0.2. m below the ground"),
        ({}, 'gear="4" ctrlrange="-5 5"', 'gear="4"', "has no torque limit for the joints lf_haa, rf_haa, lh_haa"),
        (
            {},
            'forcerange="-25 25"',
            "",
            "has no torque limit for the joints lf_hfe, rf_hfe, .*: add an",
        ),
        ({}, 'actuatorfrcrange="-30 30"', "", "has no torque limit for the joints lf_kfe"),
        ({}, 'axis="1 0 0" range="-0.9 0.9"', 'axis="1 0 0"', "has no range for the joints lf_haa, rf_haa"),
        ({}, "</mujoco>", "<mujoco/>", r"model .*dog.xml: XML"),
        (
            {},
            'actuatorfrcrange="-30 30"',
            'actuatorfrcrange="-30 20"',
            "has different torque limits .* lf_kfe: -30 and 20",
        ),
        ({"feet": ("lf_shank",) * 4}, "", "", "Dog: feet: expected 4 different names, got "),
        ({"feet": ("lf_shank", "rf_shank", "lh_shank")}, "", "", "Dog: feet: expected 4 different names, got "),
        ({"feet": (*FEET, "lf_shank")}, "", "", "Dog: feet: expected 4 different names, got "),
        ({"kd": None, "scale": None}, "", "", "Dog: defines no kd, no scale"),
        ({"timestep": 0.0}, "", "", "Dog: timestep: expected seconds, above 0, got 0.0"),
        ({"timestep": "1"}, "", "", "Dog: timestep: expected seconds, above 0, got '1'"),
        ({"kp": -5}, "", "", "Dog-v0: kp: expected a number from 0 to 100000, got -5"),
        (
            {"friction": 0.5},
            "",
            "",
            "Dog-v0: friction: expected two numbers in ascending order from 0 to 1000, got 0.5",
        ),
        ({"speeds": (1, -1)}, "", "", "Dog-v0: speeds: expected two numbers in ascending order"),
        ({"every": 0}, "", "", "Dog-v0: every: expected a number from 0.02 to 1000, got 0"),
        (
            {},
            '<geom type="sphere" size="0.04" mass="0.5"/>',
            '<geom type="sphere" mass="0.5"/>',
            "Dog: .*dog.xml: Error: size 0 must be positive",
        ),
    ],
)
def test_what_is_missing_is_one_line(more, old, new, says, tmp_path):
    with pytest.raises(TaskError, match=f"^(Dog: {tmp_path}/dog.xml )?{says}") as error:
        TaskVecEnv(made(tmp_path, DOG.replace(old, new), **more), 1)
    assert "\n" not in str(error.value)


def test_gains_that_the_class_gives_as_whole_numbers_can_be_set_to_others(tmp_path):
    task = configured(made(tmp_path, kp=60, kd=1), {"kp": 25.5, "kd": 0.5})
    assert [getattr(task, name) for name in ("kp", "kd")] == [25.5, 0.5]


def turned(xml: str, old: str, new: str) -> str:
    """The file with a change in the right legs."""
    start = xml.index('<body name="rf_hip"')
    end = xml.index('<body name="lh_hip"')
    last = xml.index('<body name="rh_hip"')
    return xml[:start] + xml[start:end].replace(old, new) + xml[end:last] + xml[last:].replace(old, new)


def test_hips_that_turn_outwards_on_both_sides_have_the_same_sign(tmp_path):
    outwards = turned(DOG, 'axis="1 0 0"', 'axis="-1 0 0"')
    assert robot(TaskVecEnv(made(tmp_path, outwards), 1)).mirror().action[1] == (1,) * 12
    assert robot(TaskVecEnv(made(tmp_path), 1)).mirror().action[1] == (-1, 1, 1) * 4


def test_legs_may_come_in_another_order(tmp_path):
    starts = [DOG.index(f'<body name="{name}_hip"') for name in LEGS] + [DOG.index("    </body>\n  </worldbody>")]
    legs = {name: DOG[start:end] for name, start, end in zip(LEGS, starts, starts[1:], strict=False)}
    order = ("lf", "lh", "rf", "rh")
    sides = DOG[: starts[0]] + "".join(legs[name] for name in order) + DOG[starts[-1] :]
    task = made(tmp_path, sides, feet=tuple(f"{name}_shank" for name in order))
    assert robot(TaskVecEnv(task, 1)).mirror().action[0] == (6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5)


def test_a_robot_with_one_short_leg_has_no_mirror_image(tmp_path):
    lame = DOG.replace('<body name="rh_shank" pos="0 0 -0.2">', '<body name="rh_shank" pos="0 0 -0.15">')
    contract.check(made(tmp_path, lame))
    with pytest.raises(NoImage, match=r"^body lh_shank: no body of the same mass and inertia is at its image$"):
        robot(TaskVecEnv(made(tmp_path, lame), 1)).mirror()


def test_a_robot_may_be_almost_symmetric(tmp_path):
    """But its actions must have the same limits on both sides, or it cannot be trained symmetrically."""
    nearly = turned(DOG, 'range="-2 2"', 'range="-2 2.02"')
    assert robot(TaskVecEnv(made(tmp_path, nearly), 1)).mirror().action[1] == (-1, 1, 1) * 4
    weaker = turned(DOG, 'actuatorfrcrange="-30 30"', 'actuatorfrcrange="-29 29"')
    task = made(tmp_path, weaker, kp=None, kd=None, scale=None)
    contract.check(task)
    with pytest.raises(NoImage, match=r"^actuator lf_kfe: no actuator of a joint is its image, with the same gear"):
        robot(TaskVecEnv(task, 1)).mirror()


FOOT = '<geom type="sphere" pos="0 0 -0.2" size="0.025" mass="0.05"/>'
FACES = ((1, 2, 4), (1, 4, 3), (5, 7, 8), (5, 8, 6), (1, 5, 6), (1, 6, 2), (3, 4, 8), (3, 8, 7), (1, 3, 7), (1, 7, 5))
FACES += ((2, 6, 8), (2, 8, 4))
WEDGE = "".join(f"v {x} {y * (1 - 0.2 * x)} {z}\n" for x in (-1, 1.5) for y in (-1, 1) for z in (0, 2))


@pytest.mark.parametrize(
    "foot",
    [
        '<geom type="box" pos="0 0 -0.2" size="0.025 0.02 0.025" mass="0.05"/>',
        '<geom type="capsule" fromto="0 0 -0.1 0 0 -0.2" size="0.025" mass="0.05"/>',
        '<geom type="mesh" mesh="wedge" pos="0 0 -0.225" mass="0.05"/>',
        '<body pos="0 0 -0.2"><geom name="{}" type="sphere" size="0.025" mass="0.05"/></body>',
    ],
)
def test_feet_of_any_shape_feel_the_ground(foot, tmp_path):
    """And the exported model needs no file: it contains the mesh, and no picture."""
    (tmp_path / "wedge.obj").write_text(WEDGE + "".join(f"f {a} {b} {c}\n" for a, b, c in FACES))
    imageio.imwrite(tmp_path / "skin.png", np.zeros((8, 8, 3), np.uint8))
    assets = '<asset><mesh name="wedge" file="wedge.obj" content_type="model/obj" scale="0.02 0.02 0.02"/>'
    assets += '<texture name="skin" type="2d" file="skin.png"/><material name="skin" texture="skin"/></asset>'
    xml = DOG.replace("<worldbody>", f'{assets}<compiler fusestatic="true"/><worldbody>')
    first, *rest = xml.split(FOOT)
    xml = first + "".join(foot.format(f"{name}_toe") + part for name, part in zip(LEGS, rest, strict=True))
    xml = xml.replace('<geom type="box" size="0.25', '<geom type="box" material="skin" size="0.25')
    feet = tuple(f"{name}_toe" for name in LEGS) if "<body" in foot else FEET
    task = configured(made(tmp_path, xml, feet=feet), PLAIN)
    env = TaskVecEnv(task, 2, seed=0, threads=1)
    env.reset()
    for _ in range(150):
        assert not env.step(middle(env)).terminated.any()
    forces = np.concatenate(robot(env).touch, 1).sum(1)
    np.testing.assert_allclose(forces, 9.81 * env.task.model.body_mass.sum(), rtol=0.02)
    laws.its_interface_describes_it(task)


def test_an_incomplete_class_is_one_line():
    class Bare(Legged):
        id = "Bare-v0"
        height = 0.3

    with pytest.raises(TaskError, match="Bare: defines no xml, no pose"):
        TaskVecEnv(Bare, 1)
