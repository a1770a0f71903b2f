"""Sim to sim: a second simulation made from a correct description alone equals that of the training."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pgcontrol_envs
import pytest
from pgcontrol_envs import interface as words
from pgcontrol_envs.legged import Legged
from pgcontrol_envs.settings import configured
from pgcontrol_envs.tasks.go1 import Go1, Go1Torque
from pgcontrol_envs.vector import TaskVecEnv

import pgcontrol
from pgcontrol.arguments import SecondPhysics
from pgcontrol.exporting import second
from pgcontrol.exporting.interface import read
from pgcontrol.exporting.second import SecondSimulation, same
from pgcontrol.exporting.sim2sim import ExportedPolicy, play
from pgcontrol.laws import tasks as laws
from pgcontrol.laws.base import Broken
from pgcontrol.runs.load import load
from tests.envs.test_legged import PLAIN, legged
from tests.exporting.robots import described, made
from tests.test_cli import run as command

TASKS = {"Go1-v0": Go1, "Go1Torque-v0": Go1Torque}
STEPS = 50


@pytest.fixture(scope="module", params=TASKS)
def exported(request, go1, tmp_path_factory) -> Path:
    return go1 if request.param == "Go1-v0" else made(request.param, tmp_path_factory.mktemp("other"))


def apart(file: Path, said: dict) -> tuple[float, float]:
    """How far the training's and the described robot are apart within 50 steps of the training's actions.

    Each gives its own actions, which are compared; but both play the same ones, since a fall turns 1e-7 into anything.

    Returns: of observations, relative where they are above 1, and of actions, in half-ranges.
    """
    interface, exported = read(said, "interface"), ExportedPolicy(file, 0)
    env = TaskVecEnv(configured(TASKS[described(file)["task"]], PLAIN), 3, seed=0, threads=1)
    policy, obs = load(file.parent / "run"), env.reset()
    robot = SecondSimulation(interface, 3, same(interface))
    for i in range(3):
        robot.place(i, env.physics.qpos[i], env.physics.qvel[i])
    furthest, half = np.zeros(2), 0.5 * (env.action_high - env.action_low).numpy()
    for _ in range(STEPS):
        theirs = robot.observe(legged(env).command.copy())
        ours, answer = policy.act(obs, None)[0][:, 0], exported(theirs)[:, 0]
        seen = obs.numpy()[:, : env.obs_size]
        off = (abs(seen - theirs) / np.fmax(abs(seen), 1.0)).max(), (abs(ours.numpy() - answer) / half).max()
        furthest = np.fmax(furthest, off)
        obs = env.step(ours).obs
        robot.step(ours.double().numpy(), np.ones(3, bool))
    return float(furthest[0]), float(furthest[1])


def test_the_same_physics_is_the_trainings(exported):
    """Along a rollout, observations and actions are equal in every joint and step."""
    obs, action = apart(exported, described(exported)["interface"])
    assert obs < 1e-7
    assert action < 1e-5


def exchanged(names):
    names[0], names[3] = names[3], names[0]


LIES = {
    "two joints of the observation": lambda said: exchanged(said["observation"][2]["joints"]),
    "two joints of the action": lambda said: exchanged(said["action"]["joints"]),
    "kp": lambda said: said["action"]["kp"].__setitem__(4, 40.0),
    "kd": lambda said: said["action"].update(kd=[0.6] * 12),
    "torque limit": lambda said: said["action"]["torque_limit"].__setitem__(2, 2.0),
    "offset": lambda said: said["observation"][2].update(offset=0.0),
    "scale": lambda said: said["observation"][3].update(scale=0.11),
    "gravity upwards": lambda said: said["observation"][1].update(scale=-1.0),
    "order": lambda said: said["observation"].insert(0, said["observation"].pop(1)),
    "rate": lambda said: said.update(substeps=4),
    "a body's mass": lambda said: said.update(mjcf=said["mjcf"].replace('mass="5.204"', 'mass="5.3"')),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_description_that_lies_shows(go1, lie):
    said = described(go1)["interface"]
    LIES[lie](said)
    assert apart(go1, said)[0] > 1e-3


@pytest.mark.parametrize("lie", LIES)
def test_a_task_that_lies_breaks_the_law(lie):
    class Liar(Go1):
        id = "Liar-v0"

        def interface(self):
            said = super().interface()
            LIES[lie](said)
            return said

    with pytest.raises(Broken, match=r"^interface"):
        laws.its_interface_describes_it(Liar)


@pytest.mark.parametrize("task", pgcontrol_envs.catalog())
def test_every_robots_interface_round_trips(task):
    """From JSON to the arguments of a second simulation."""
    cls = pgcontrol_envs.catalog()[task]
    said = TaskVecEnv(cls, 1).task.interface()
    assert (said is None) == (not issubclass(cls, Legged))
    if said is not None:
        again = json.loads(json.dumps(said))
        assert again == said
        one, other = read(again, task), read(said, task)
        assert str(one) == str(other)
        assert one.size == TaskVecEnv(cls, 1).obs_size
        assert [command.name for command in one.commands] == list(words.COMMANDS)


def test_words_mean_the_same_on_both_sides():
    assert list(words.QUANTITIES) == list(second.QUANTITIES)
    assert list(words.COMMANDS) == list(second.ACHIEVED)


def test_settings_of_a_task_are_in_its_interface():
    task = configured(Go1, {"kp": 20.0, "kd": 1.0, "scale": 0.5, "noise": 2.0, "speeds": (0.0, 2.0), "frame_skip": 4})
    said = read(TaskVecEnv(task, 1).task.interface(), "interface")
    np.testing.assert_allclose(said.action.kp, 20.0)
    np.testing.assert_allclose(said.action.kd, 1.0)
    np.testing.assert_allclose(said.action.high - said.action.low, 1.0)
    np.testing.assert_allclose(said.observation[0].noise, 0.4)
    assert said.commands[0][1:] == (0.0, 2.0)
    assert said.control_dt == pytest.approx(0.016)


def robot_of(file: Path, count: int = 2, **physics) -> SecondSimulation:
    interface = read(described(file)["interface"], "interface")
    return SecondSimulation(interface, count, dataclasses.replace(same(interface), **physics))


def test_an_action_acts_when_the_latency_is_over(go1):
    for latency in (0, 1, 3):
        robot = robot_of(go1, latency=latency)
        middle = robot.last.copy()
        for step in range(5):
            robot.step(middle + 0.01 * (step + 1), np.array([True, False]))
            expected = middle[0] + 0.01 * max(0, step + 1 - latency)
            np.testing.assert_allclose(robot.state("ctrl")[0], expected)
            np.testing.assert_allclose(robot.last, middle + 0.01 * (step + 1))
        assert robot.copies[0].time == pytest.approx(0.1)
        assert robot.copies[1].time == 0  # it stood still


def test_noise_friction_and_damping_are_factors(go1):
    changed = {"noise": 2.0, "friction": 0.5, "frictionloss": 3.0, "damping": 4.0, "solver": "CG"}
    plain, other = robot_of(go1, 500), robot_of(go1, 500, **changed)
    np.testing.assert_allclose(other.model.geom_friction, plain.model.geom_friction * [0.5, 1, 1])
    np.testing.assert_allclose(other.model.dof_frictionloss, 3 * plain.model.dof_frictionloss)
    np.testing.assert_allclose(other.model.dof_damping, 4 * plain.model.dof_damping)
    assert plain.model.opt.solver != other.model.opt.solver
    command = np.zeros((500, 3))
    off = other.observe(command, np.random.default_rng(0)) - other.observe(command)
    expected = 2 * np.concatenate([part.noise for part in other.interface.observation])
    assert (abs(off) <= expected + 1e-12).all()
    np.testing.assert_allclose(abs(off).max(0), expected, rtol=0.05)


def test_others_are_others():
    """Also for a model with the most common solver and integrator."""

    class Twin(Go1):
        id = "Twin-v0"

        def mjcf(self):
            return super().mjcf().replace('integrator="implicitfast"', 'integrator="Euler" solver="CG"')

    for task, names in {Go1: ("CG", "Euler"), Twin: ("Newton", "implicitfast")}.items():
        interface = read(TaskVecEnv(task, 1).task.interface(), "interface")
        robot = SecondSimulation(interface, 1, SecondPhysics())
        assert (robot.physics.solver, robot.physics.integrator, robot.physics.timestep) == (*names, 0.002)
        assert robot.model.opt.timestep == 0.002
        assert robot.model.opt.solver == second.SOLVERS[names[0]]
        assert robot.model.opt.integrator == second.INTEGRATORS[names[1]]


def test_falls_and_errors_are_counted(go1):
    """A policy that holds the default pose stands; one that lies down or has non-finite numbers falls."""
    robot = robot_of(go1, 3)
    middle = robot.last[0].copy()
    flat = np.array([0.0, 1.6, -0.7] * 4)
    answers = np.stack((middle, flat, np.full(12, np.nan)))[:, None]
    measured = play(robot, lambda obs: answers, seconds=4.0, seed=0)
    assert measured["fell"].tolist() == [0, 1, 1]
    assert measured["seconds"][0] == pytest.approx(4.0)
    assert 0 < measured["seconds"][1] < 4
    assert all(np.isfinite(values).all() for values in measured.values())
    turned = [np.cos(0.6), np.sin(0.6), 0, 0]  # by 1.2 rad
    robot.begin()
    robot.copies[1].qpos[3:7] = turned
    assert robot.fallen().tolist() == [False, True, False]
    robot.copies[0].qvel[:6] = (1.0, 0.0, 0.0, 0.0, 0.0, 0.5)  # forwards in the world, while it looks to the left
    robot.copies[0].qpos[3:7] = [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]
    errors = robot.errors(np.array([[0.0, -1.0, 0.2]] * 3))
    assert errors["speed_error"][0] == pytest.approx(0.0, abs=1e-9)
    assert errors["yaw_error"][0] == pytest.approx(0.3)


def test_the_command_prints_all_simulations_and_writes_only_what_is_asked(go1, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soon = ("--episodes", "3", "--seconds", "0.5")
    code, out, error = command(capsys, "sim2sim", str(go1.parent / "run"), *soon)
    assert (code, error) == (0, "")
    assert list(tmp_path.iterdir()) == []
    for word in ("in training", "same physics", "second physics", "speed error, m/s", "yaw error, rad/s", "fell"):
        assert word in out
    assert "solver CG, integrator Euler, steps of 0.002 s, latency 1" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = command(capsys, "sim2sim", str(go1), *soon, "--latency", "0", "--out", "made.json")
    assert code == 0
    assert "in training" not in out
    said = json.loads(Path("made.json").read_text())
    assert said["second_physics"]["latency"] == 0
    assert set(said["second"]["speed_error"]) == {"estimate", "low", "high"}
    assert [file.name for file in tmp_path.iterdir()] == ["made.json"]
    assert command(capsys, "sim2sim", str(go1), "--episodes", "1", "--seconds", "0.1", "--out", "one.json")[0] == 0
    one = Path("one.json").read_text()
    assert "Infinity" not in one
    assert json.loads(one)["second"]["speed_error"]["low"] is None
    for out, line in {
        "made.json": "made.json exists already; choose another file, or pass --force",
        ".": "--out .: is a folder; choose a file, such as sim2sim.json",
    }.items():
        assert command(capsys, "sim2sim", str(go1), *soon, "--out", out) == (2, "", f"pgcontrol: {line}\n")


def test_samples_in_float32_are_played_too(go1, tmp_path):
    file = pgcontrol.export(go1.parent / "run", tmp_path / "s.onnx", sampled=True, float32=True).path
    obs = robot_of(go1).observe(np.zeros((2, 3)))
    one, again, other = (ExportedPolicy(file, seed)(obs) for seed in (1, 1, 2))
    assert one.shape == (2, 1, 12)
    np.testing.assert_array_equal(one, again)
    assert abs(one - other).max() > 1e-3
    assert pgcontrol.sim2sim(file, episodes=1, seconds=0.1).measured["second"]["seconds"] == pytest.approx(0.1)


def test_a_choice_of_several_actions_is_played_to_its_end(go1):
    robot, asked = robot_of(go1), []

    def three(obs):
        asked.append(obs)
        return np.stack([robot.interface.action.low + 0.1 * k for k in range(3)])[None].repeat(2, 0)

    play(robot, three, seconds=0.1, seed=0)
    assert len(asked) == 2
    np.testing.assert_allclose(robot.last, np.tile(robot.interface.action.low + 0.1, (2, 1)), atol=1e-12)


def test_a_seed_determines_everything(go1):
    one, again, other = (pgcontrol.sim2sim(go1, episodes=2, seconds=0.4, seed=seed).measured for seed in (1, 1, 2))
    for world, measures in one.items():
        for name, values in measures.items():
            np.testing.assert_array_equal(values, again[world][name])
    assert not np.array_equal(one["second"]["speed_error"], other["second"]["speed_error"])


def test_trainings_figures_are_those_of_eval(go1):
    run = go1.parent / "run"
    result = pgcontrol.sim2sim(run, episodes=2, seconds=0.1, seed=4)
    played = pgcontrol.evaluate(run, episodes=2, seed=4).agents["mode"]
    for name, values in played.metrics.items():
        np.testing.assert_array_equal(result.measured["training"][name], values)
    np.testing.assert_allclose(result.measured["training"]["seconds"], played.lengths * 0.02)
