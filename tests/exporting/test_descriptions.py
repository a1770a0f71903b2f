"""A description that does not fit is a one-line error, whatever is wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pgcontrol_envs.tasks.go1 import Go1

import pgcontrol
from pgcontrol.arguments import SecondPhysics
from pgcontrol.exporting.interface import read
from pgcontrol.exporting.second import SecondSimulation
from pgcontrol.exporting.sim2sim import play
from pgcontrol.options import InputError
from tests.exporting.robots import described
from tests.faults.test_leaves import EVERY, OTHERS, changed, leaves
from tests.test_cli import run as command

BROKEN = {
    "no interface": (lambda said: said.pop("interface"), r"Go1-v0 does not describe its robot, .*plugins.md"),
    "another file": (lambda said: said["model"].update(sha256="0"), r"describes another file than .*policy.onnx"),
    "no list": (
        lambda said: said["interface"].update(observation=3),
        r"interface.observation: expected a list",
    ),
    "missing": (
        lambda said: said["interface"].pop("timestep"),
        r"interface.timestep: expected a number",
    ),
    "sizes": (
        lambda said: said["interface"]["action"]["kp"].pop(),
        r"policy.json: interface.action.kp: expected 12 numbers, found 11",
    ),
    "names": (
        lambda said: said["interface"]["observation"][2]["joints"].pop(),
        r"interface.observation\[2\].joints: expected 12 names, found 11",
    ),
    "fewer parts": (
        lambda said: said["interface"]["observation"].pop(0),
        r"observation: 42 numbers",
    ),
    "unknown part": (
        lambda said: said["interface"]["observation"][0].update(name="gravty"),
        r"unknown part of an observation, .*\[0\].name 'gravty'; did you mean 'gravity'\?",
    ),
    "unknown joint": (
        lambda said: said["interface"]["action"]["joints"].__setitem__(0, "FR_hop"),
        r"unknown joint, .*action.joints 'FR_hop'; did you mean 'FR_hip'\?",
    ),
    "no action": (
        lambda said: said["interface"]["action"].update(name="voltage"),
        r"action.name: expected 'joint position target' or 'joint torque', found 'voltage'",
    ),
    "no base": (
        lambda said: said["interface"].update(base=None),
        r"interface.base: expected the body with",
    ),
    "another base": (lambda said: said["interface"].update(base="FR_hip"), r"the body 'FR_hip' has no free joint"),
    "no model": (lambda said: said["interface"].update(mjcf="<mujoco"), r"interface.mjcf: MuJoCo cannot read it"),
    "a model of files": (
        lambda said: said["interface"].update(
            mjcf='<mujoco><asset><mesh name="m" file="m.stl"/></asset><worldbody>'
            '<geom type="mesh" mesh="m"/></worldbody></mujoco>'
        ),
        r"interface.(mjcf: MuJoCo cannot compile it|action.joints)|unknown joint",
    ),
    "infinite": (
        lambda said: said["interface"]["action"].update(kd=[1e999] * 12),
        r"kd: expected numbers only",
    ),
    "another size": (
        lambda said: said["interface"]["observation"][1].update(size=2),
        r"interface.observation\[1\].size: expected 3, found 2",
    ),
    "more than always": (
        lambda said: said["interface"].update(standing=7),
        r"interface.standing: expected a number from 0 to 1, found 7",
    ),
    "upside down": (
        lambda said: said["interface"]["action"].update(low=[5.0] * 12, high=[-5.0] * 12),
        r"interface.action.low: expected less than -5 for FR_hip, found 5",
    ),
    "no time": (
        lambda said: said["interface"].update(seconds=0),
        r"interface.seconds: expected a finite number above 0, found 0",
    ),
    "no commands": (
        lambda said: said["interface"].update(
            commands=[], observation=[x for x in said["interface"]["observation"] if x["name"] != "command"]
        ),
        r"interface.observation: 42 numbers|commands: empty",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_description_that_does_not_fit_is_one_line(go1, case, tmp_path, capsys):
    change, line = BROKEN[case]
    (tmp_path / "policy.onnx").write_bytes(go1.read_bytes())
    said = described(go1)
    change(said)
    (tmp_path / "policy.json").write_text(json.dumps(said))
    code, out, error = command(capsys, "sim2sim", str(tmp_path / "policy.onnx"), "--episodes", "1", "--seconds", "0.1")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert re.search(line, error), error


def test_another_type_anywhere_is_one_line(go1, tmp_path, monkeypatch):
    """`make faults` tries every leaf, the tests every eighth."""
    monkeypatch.chdir(tmp_path)
    said = described(go1)["interface"]
    refused, still = 0, lambda obs: np.zeros((1, 1, 12))
    for i, path in enumerate(leaves(said)):
        for value in OTHERS if i % EVERY == 0 else ():
            try:
                interface = read(changed(said, path, value), "interface")
                play(SecondSimulation(interface, 1, SecondPhysics()), still, 0.04, 0)
            except InputError:  # which is one line, always
                refused += 1
    assert refused > 50
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_there_are_one_line(go1, tmp_path, capsys):
    lone = tmp_path / "policy.onnx"
    for line in ("policy.onnx: no such file", "policy.json: no such file; `pgcontrol export` writes"):
        code, _, error = command(capsys, "sim2sim", str(lone))
        assert code == 2
        assert line in error
        lone.write_bytes(go1.read_bytes())
    (tmp_path / "policy.json").write_text("{")
    code, _, error = command(capsys, "sim2sim", str(lone))
    assert (code, error.count("\n")) == (2, 1)
    assert "policy.json is not JSON" in error


def test_a_time_step_that_does_not_fit_is_one_line(go1):
    with pytest.raises(InputError, match=r"--timestep 0.003: must divide the control step of 0.02 s"):
        pgcontrol.sim2sim(go1, timestep=0.003)


def test_a_run_of_a_task_without_a_robot_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Path(__file__).parents[1] / "fixtures" / "2026_11" / "run"
    code, out, error = command(capsys, "sim2sim", str(run), "--accept-changed")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "does not describe its robot" in error
    assert list(tmp_path.iterdir()) == []


def test_an_interface_that_is_wrong_is_never_exported(go1, monkeypatch, tmp_path):
    monkeypatch.setattr(Go1, "interface", lambda self: {"timestep": 0.004})
    with pytest.raises(InputError, match=r"^Go1.interface.action: expected a JSON object, found nothing$"):
        pgcontrol.export(go1.parent / "run", tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []
