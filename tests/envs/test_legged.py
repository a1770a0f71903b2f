"""The quadruped: commands, randomisation, falls, symmetry."""

import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from pgcontrol_envs import contract
from pgcontrol_envs.legged import Legged
from pgcontrol_envs.settings import configured
from pgcontrol_envs.task import TaskError
from pgcontrol_envs.tasks.go1 import Go1, Go1Torque, made, mjcf
from pgcontrol_envs.vector import TaskVecEnv

# nothing is random but the start and the command
PLAIN = {
    "noise": 0.0,
    "friction": (0.7, 0.7),
    "masses": (1.0, 1.0),
    "load": (0.0, 0.0),
    "shift": 0.0,
    "gains": (1.0, 1.0),
    "armature": (1.0, 1.0),
    "frictionloss": (1.0, 1.0),
    "push": 0.0,
}


def legged(env: TaskVecEnv) -> Legged:
    """Its task."""
    assert isinstance(env.task, Legged)
    return env.task


def middle(env):
    """The action that holds the default pose, or no torque."""
    return ((env.action_low + env.action_high) / 2).expand(env.num_envs, -1)


def test_it_stands_at_its_targets():
    still = configured(Go1, PLAIN | {"standing": 1.0})
    env = TaskVecEnv(still, 8, seed=0, threads=1)
    env.reset()
    for _ in range(200):
        step = env.step(middle(env))
        assert not step.terminated.any()
        assert step.terms["air"].abs().max() == 0
    error, turn = env.task.metrics().values()
    assert error.max() < 0.03
    assert turn.max() < 0.03


def test_without_torques_it_falls_and_that_is_logged():
    env = TaskVecEnv(Go1Torque, 4, seed=0, threads=1)
    env.reset()
    fell = torch.zeros(4, dtype=torch.bool)
    for _ in range(100):
        step = env.step(middle(env))
        assert np.array_equal(env.task.ending()["fell"] > 0, step.terminated.numpy())
        fell |= step.terminated
        if step.terminated.any():
            env.reset(step.terminated)
    assert fell.all()


def test_commands_are_what_the_settings_say():
    task = configured(Go1, PLAIN | {"standing": 0.25, "every": 1.0, "speeds": (-0.5, 1.5)})
    env = TaskVecEnv(task, 200, seed=0, threads=1, time_limit=10_000)
    env.reset()
    seen = []
    for _ in range(100):
        env.step(middle(env))
        seen.append(legged(env).command.copy())
    commands = np.array(seen)
    changes = (np.diff(commands[..., 0], axis=0) != 0).mean() / (1 - 0.25**2)  # from standing to standing is none
    assert changes == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / 20_000))
    last = commands[-1]
    assert ((last == 0).all(1)).mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 200))
    low, high = np.array([-0.5, -0.5, -1.0]), np.array([1.5, 0.5, 1.0])
    assert (commands >= low).all()
    assert (commands <= high).all()
    assert commands[..., 0].max() > 1.4
    assert commands[..., 0].min() < -0.4


def test_bodies_differ_within_their_ranges_and_can_be_alike():
    env = TaskVecEnv(Go1, 100, seed=0, threads=1)
    env.reset()
    task = legged(env)
    own, plain, trunk = task.own, task.plain, task.body("trunk")
    ratio = np.delete(own["body_mass"] / plain["body_mass"].clip(1e-9), [0, trunk], axis=1)
    assert 0.9 <= ratio.min() < 0.92
    assert 1.08 < ratio.max() <= 1.1
    friction = own["geom_friction"][:, task.geoms, 0]
    assert (friction == friction[:, :1]).all()
    assert 0.4 <= friction.min() < 0.45
    assert np.abs(own["body_ipos"][:, trunk] - plain["body_ipos"][trunk]).max() <= 0.05
    alike = TaskVecEnv(configured(Go1, PLAIN), 3, seed=0, threads=1)
    alike.reset()
    for name, field in legged(alike).own.items():
        expected = legged(alike).plain[name].copy()
        if name == "geom_friction":
            expected[legged(alike).geoms, 0] = 0.7
        np.testing.assert_allclose(field, np.broadcast_to(expected, field.shape), atol=1e-12, err_msg=name)


def test_a_mirrored_robot_sees_and_does_the_mirror_image():
    """Except the trunk's centre of mass, 2 mm to the left."""
    env = TaskVecEnv(configured(Go1, PLAIN | {"standing": 1.0}), 2, seed=0, threads=1)
    env.reset()
    task, mirror, physics = legged(env), legged(env).mirror(), env.physics
    (order, sign), (legs, hips) = (tuple(map(np.array, part)) for part in mirror)
    physics.qpos[1, :7] = physics.qpos[0, :7] * [1, -1, 1, 1, -1, 1, -1]
    physics.qpos[1, 7:] = physics.qpos[0, 7:][legs] * hips
    physics.qvel[1, :6] = physics.qvel[0, :6] * [1, -1, 1, -1, 1, -1]
    physics.qvel[1, 6:] = physics.qvel[0, 6:][legs] * hips
    physics.forward()
    rng = np.random.default_rng(0)
    for _ in range(4):
        half = task.half * rng.uniform(-0.15, 0.15, 12)
        action = torch.from_numpy(task.middle + np.stack((half, half[legs] * hips))).float()
        obs = env.step(action).obs.numpy()[:, :45]
        np.testing.assert_allclose(obs[1], obs[0][order] * sign, atol=0.05)
        assert np.abs(obs[0][6:18]).max() > 0.02


def test_weights_of_the_reward_can_be_changed_one_by_one():
    plain = TaskVecEnv(Go1, 4, seed=0, threads=1)
    changed = TaskVecEnv(configured(Go1, {"weights": {"jerk": -0.02, "torque": 0}}), 4, seed=0, threads=1)
    for env in (plain, changed):
        env.reset()
    terms, others = (env.step(0.9 * middle(env)).terms for env in (plain, changed))
    assert terms["jerk"].abs().min() > 0
    assert torch.equal(others["jerk"], 2 * terms["jerk"])
    assert terms.keys() - others.keys() == {"torque"}
    assert all(torch.equal(others[name], terms[name]) for name in others if name != "jerk")
    assert Go1.weights["jerk"] == -0.01
    with pytest.raises(TaskError, match=r"Go1-v0: weights: unknown name 'jerks': did you mean jerk\?"):
        configured(Go1, {"weights": {"jerks": 1.0}})
    with pytest.raises(TaskError, match=r"Go1-v0: weights: expected names with numbers from -100000 to 100000, got 3"):
        configured(Go1, {"weights": 3})


def test_a_subclass_changes_some_weights_and_keeps_the_others():
    class Smooth(Go1):
        id = "Smooth-v0"
        weights: ClassVar[dict[str, float]] = {"jerk": -0.02}

    class Typo(Go1):
        id = "Typo-v0"
        weights: ClassVar[dict[str, float]] = {"jerks": -0.02}

    contract.check(Smooth)
    assert Smooth.weights == Go1.weights | {"jerk": -0.02}
    with pytest.raises(TaskError, match=r"^Typo-v0: weights: unknown name 'jerks': did you mean jerk\?$"):
        contract.check(Typo)


def test_a_push_or_a_command_does_not_begin_in_an_environment_that_stands_still():
    """Right after a reset, too, when others are stepped: a push every 40 ms on average would begin in half of them."""
    env = TaskVecEnv(configured(Go1, {"every": 0.02}), 40, seed=0, threads=1)
    env.reset()
    before = env.physics.state()
    env.step(middle(env), torch.zeros(40, dtype=torch.bool))
    for name, field in env.physics.state().items():
        assert torch.equal(field, before[name]), name


def test_the_page_has_the_weights_and_ranges_of_the_class():
    text = (Path(__file__).parents[2] / "docs" / "legged.md").read_text("utf-8")
    written = re.findall(r"^\| `(\w+)` \| (-?[\d.]+) \| ", text, re.MULTILINE)
    assert {name: float(weight) for name, weight in written} == Legged.weights | {"noise": Legged.noise}
    for name in ("friction", "masses", "load"):
        low, high = (f"{end:g}".replace("-", "−") for end in getattr(Legged, name))
        assert f"| `{name}` | {low} to {high}" in text
    ranges = ", ".join(f"{low:g} to {high:g}" for low, high in (Legged.gains, Legged.armature, Legged.frictionloss))
    for words in (f"`frictionloss` | {ranges} |", f"`shift` | ± {Legged.shift} m", f"`push` | up to {Legged.push} m/s"):
        assert words in text


def test_a_model_without_what_it_takes_is_refused_in_one_line():
    class Deaf(Go1):
        id = "Deaf-v0"

        def make_model(self):
            return made(mjcf(self.actuators(), 0.004).replace('name="up"', 'name="down"'))

    class Weak(Go1):
        id = "Weak-v0"

        def actuators(self):
            return '<motor name="m" joint="FR_hip"/><motor joint="FR_calf"/>'

    with pytest.raises(TaskError, match=r"Deaf: the model has no sensor 'up'"):
        TaskVecEnv(Deaf, 1)
    with pytest.raises(TaskError, match=r"Weak: make_model\(\) has no ctrlrange for the actuators m, of FR_calf; add"):
        TaskVecEnv(Weak, 1)
