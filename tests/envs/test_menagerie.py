"""The look of Go1 in videos, from a copy of the menagerie with a tiny mesh and another order of legs."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import sys

import mujoco
import numpy as np
import pytest
from pgcontrol_envs import menagerie
from pgcontrol_envs.tasks.go1 import Go1

from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.encoding import decode
from pgcontrol.rendering.recording import Recording
from pgcontrol.rendering.render import render_clip

pytest.importorskip("mujoco_menagerie")

LEGS = {"FL": (0.1881, 0.04675), "FR": (0.1881, -0.04675), "RL": (-0.1881, 0.04675), "RR": (-0.1881, -0.04675)}
TETRAHEDRON = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def leg(name: str, x: float, y: float) -> str:
    """Hip, thigh and calf at Unitree's positions."""
    joint = '<joint name="{}_{}_joint" axis="{}"/><geom type="mesh" mesh="part"/>'
    hip, thigh, calf = (joint.format(name, part, axis) for part, axis in
                        (("hip", "1 0 0"), ("thigh", "0 1 0"), ("calf", "0 1 0")))  # fmt: skip
    side = 0.08 if y > 0 else -0.08
    return (
        f'<body name="{name}_hip" pos="{x} {y} 0">{hip}<body name="{name}_thigh" pos="0 {side} 0">{thigh}'
        f'<body name="{name}_calf" pos="0 0 -0.213">{calf}</body></body></body>'
    )


def copy_of(folder, legs=LEGS, part="part.obj"):
    """A MENAGERIE_ROOT with a Go1."""
    robot = folder / "unitree_go1"
    robot.mkdir()
    (robot / "part.obj").write_text(TETRAHEDRON)
    (robot / "go1.xml").write_text(
        f'<mujoco><asset><mesh name="part" file="{part}"/></asset><worldbody><body name="trunk" pos="0 0 0.3">'
        f'<freejoint/><geom type="mesh" mesh="part"/>{"".join(leg(name, *place) for name, place in legs.items())}'
        "</body></worldbody></mujoco>"
    )
    scene = '<mujoco><include file="go1.xml"/><worldbody><geom type="plane" size="0 0 .05"/></worldbody></mujoco>'
    (robot / "scene.xml").write_text(scene)
    return folder


def test_bodies_are_where_ours_are(tmp_path, monkeypatch):
    monkeypatch.setenv("MENAGERIE_ROOT", str(copy_of(tmp_path)))
    task = Go1()
    shown, order = task.look()
    assert shown is not task.model
    assert shown.nmesh == 1
    qpos = np.concatenate([[0.3, -0.2, 0.4, 0.8, 0.0, 0.6, 0.0], np.random.default_rng(0).uniform(-1, 1, 12)])
    one, other = mujoco.MjData(task.model), mujoco.MjData(shown)
    one.qpos[:], other.qpos[:] = qpos, qpos[order]
    mujoco.mj_kinematics(task.model, one)
    mujoco.mj_kinematics(shown, other)
    for name in ("trunk", *(f"{name}_{part}" for name in LEGS for part in ("hip", "thigh", "calf"))):
        np.testing.assert_allclose(one.body(name).xpos, other.body(name).xpos, atol=1e-9)
        np.testing.assert_allclose(one.body(name).xmat, other.body(name).xmat, atol=1e-9)


@pytest.mark.slow
def test_a_film_shows_it(tmp_path, monkeypatch, backend):
    task, pages = Go1(), []
    own = {"body_mass": task.model.body_mass.copy()}  # of our model's size alone
    still = Recording("Go1-v0", 0, task.dt, np.zeros(1), np.tile(task.model.qpos0, (2, 1)), own=own)
    still.save(tmp_path / "still.npz")
    for root in (tmp_path / "nothing", copy_of(tmp_path)):
        monkeypatch.setenv("MENAGERIE_ROOT", str(root))
        render_clip([tmp_path / "still.npz"], tmp_path / "still.mp4", ClipFormat((160, 120)), backend=backend)
        pages.append(next(decode(tmp_path / "still.mp4")).astype(int))
    assert (abs(pages[0] - pages[1]).max(-1) > 40).any()


@pytest.mark.parametrize("lacking", ["root", "robot", "mesh", "joints", "package", "cache"])
def test_without_its_files_it_looks_like_ours(lacking, tmp_path, monkeypatch):
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path / "none" if lacking == "root" else tmp_path))
    if lacking == "mesh":
        copy_of(tmp_path, part="gone.obj")
    if lacking == "joints":
        copy_of(tmp_path, legs={name: LEGS[name] for name in ("FL", "FR")})
    if lacking == "package":
        copy_of(tmp_path)
        monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    if lacking == "cache":  # nothing is downloaded into it
        monkeypatch.delenv("MENAGERIE_ROOT")
        monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("MENAGERIE_BASE_URL", "file:///nowhere")
    task = Go1()
    assert menagerie.look("unitree_go1", task.model) is None
    model, order = task.look()
    assert model is task.model
    assert (order == np.arange(19)).all()
    assert not (tmp_path / "cache").exists()
