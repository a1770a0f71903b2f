"""Physics on the CPU: equal to a loop of mj_step, views, and MuJoCo's warnings."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import gc
import subprocess
import sys
import warnings
from pathlib import Path

import mujoco
import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.physics import CpuPhysics
from pgcontrol_envs.task import ASSETS, TaskError, load_model

FIELDS = ("xpos", "xipos", "cinert", "cvel", "qfrc_actuator", "qfrc_constraint", "cfrc_ext")


@pytest.mark.parametrize("xml", ["half_cheetah.xml", "ant.xml", "humanoid.xml"])
@pytest.mark.parametrize("threads", [1, 2])
def test_bit_identical_to_a_loop_of_mj_step(xml, threads):
    model, rng = load_model(xml), np.random.default_rng(0)
    physics = CpuPhysics(model, 4, threads, FIELDS)
    loop = [mujoco.MjData(model) for _ in range(4)]
    physics.reset()
    physics.forward()
    for data in loop:
        mujoco.mj_forward(model, data)
    hardest = 0.0
    for t in range(100):
        ids = None if t % 3 else np.array([0, 2])
        controls = rng.uniform(-1, 1, (4, model.nu))
        physics.ctrl[:] = controls
        physics.step(5, ids)
        for i in range(4) if ids is None else ids.tolist():
            loop[i].ctrl[:] = controls[i]
            mujoco.mj_step(model, loop[i], nstep=5)
            mujoco.mj_rnePostConstraint(model, loop[i])
        for name in ("qpos", "qvel", *FIELDS):
            expected = np.stack([getattr(data, name) for data in loop])
            np.testing.assert_array_equal(physics.bind(name), expected, f"{name} after {t} steps")
        hardest = max(hardest, float(abs(physics.bind("cfrc_ext")).max()))
    assert hardest > 1


def test_partial_state_goes_back_where_it_came_from():
    physics = CpuPhysics(load_model("ant.xml"), 3, 1, ("cfrc_ext",))
    physics.reset()
    physics.forward()
    physics.step(100)
    saved = physics.state()
    physics.ctrl[:] = 1
    physics.step(100)
    later = physics.state()
    physics.load_state(saved, np.array([1]))
    now = physics.state()
    for name in saved:
        assert torch.equal(now[name][1], saved[name][1])
        assert torch.equal(now[name][[0, 2]], later[name][[0, 2]])


def test_views_are_live_and_outlive_the_physics():
    physics = CpuPhysics(load_model("hopper.xml"), 2, 1, ("xpos",))
    qpos, xpos = physics.bind("qpos"), physics.bind("xpos")
    assert qpos.flags.writeable
    assert not xpos.flags.writeable
    assert qpos is physics.qpos
    physics.reset()
    physics.qpos[1, 0] = 3
    physics.forward()
    assert qpos[1, 0] == 3
    assert xpos[1, 1, 0] == 3
    del physics
    gc.collect()
    assert qpos[1, 0] == 3
    named = "qpos, qvel, ctrl, time, userdata, xfrc_applied, qacc_warmstart"
    with pytest.raises(ValueError, match=rf"'xpos' is not bound; bound are {named}\. Add it to Task\.derived"):
        CpuPhysics(load_model("hopper.xml"), 2).bind("xpos")
    with pytest.raises(ValueError, match="no output 'nonsense'"):
        CpuPhysics(load_model("hopper.xml"), 2, derived=("nonsense",))


def test_time_and_userdata_are_part_of_the_state(tmp_path):
    model = tmp_path / "noting.xml"
    model.write_text('<mujoco><option timestep="0.25"/><size nuserdata="2"/></mujoco>')
    physics = CpuPhysics(load_model(str(model)), 2, 1)
    physics.userdata[:] = [[1, 2], [3, 4]]
    physics.step(3)
    physics.step(2, np.array([1]))
    assert physics.time.tolist() == [0.75, 1.25]
    assert physics.userdata.tolist() == [[1, 2], [3, 4]]
    saved = physics.state()
    physics.reset(np.array([0]))
    assert physics.time.tolist() == [0, 1.25]
    assert physics.userdata.tolist() == [[0, 0], [3, 4]]
    other = CpuPhysics(physics.model, 2, 1)
    other.load_state(saved)
    assert other.time.tolist() == [0.75, 1.25]
    assert other.userdata.tolist() == [[1, 2], [3, 4]]
    assert CpuPhysics(load_model("hopper.xml"), 2).userdata.shape == (2, 0)


def test_instability_is_reported_once_with_the_envs_it_hit(capfd):
    env = pgcontrol_envs.make("HalfCheetah-v5", 4, threads=2)
    assert isinstance(env.task, pgcontrol_envs.catalog()["HalfCheetah-v5"])
    env.reset()
    still = torch.zeros(4, 6)
    env.task.velocity[3] = float("nan")
    with pytest.warns(UserWarning, match="MuJoCo in env 3: Nan, Inf or huge value in QVEL"):
        env.step(still)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.step(still)
    env.reset([3])
    env.task.velocity[1:] = float("inf")
    with pytest.warns(UserWarning, match="MuJoCo in env 1, 2, 3: "):
        env.step(still)
    assert capfd.readouterr() == ("", "")
    assert not Path("MUJOCO_LOG.TXT").exists()


@pytest.mark.parametrize("write", ["", "qvel", "qpos", "xfrc_applied", "geom_pos", "body_mass"])
def test_a_persistent_batch_walks_as_another(write):
    """Values that the last step computed are used only if nothing that they depend on was written since."""
    model, walks = pgcontrol_envs.catalog()["dm:humanoid-walk"]().model, []
    for persistent in (False, True):
        physics = CpuPhysics(model, 3, 1, ("sensordata", "xpos"), persistent=persistent)
        rng, field = np.random.default_rng(0), None
        if write:
            field = physics.expand(write) if write in ("geom_pos", "body_mass") else physics.bind(write)
        physics.reset()
        physics.forward()
        for t in range(20):
            physics.ctrl[:] = rng.uniform(-1, 1, (3, model.nu))
            if field is not None:
                field[1:] += 0.01 * rng.uniform(0, 1, field[1:].shape)
            physics.step(5, None if t % 3 else np.array([0, 2]), "vel")
        walks.append(physics.state())
    for name, value in walks[0].items():
        assert torch.equal(value, walks[1][name]), name


@pytest.mark.slow
def test_loading_is_silent_but_for_real_warnings(tmp_path):
    code = """
import sys, pgcontrol_envs
for env_id in pgcontrol_envs.catalog():
    pgcontrol_envs.make(env_id, 2).reset()
pgcontrol_envs.make("gym:HalfCheetah-v5", 1).reset()
print("quiet so far", file=sys.stderr)
import mujoco
body = "<body><freejoint/><geom size='1'/></body>"
model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{body}</worldbody></mujoco>")
data = mujoco.MjData(model)
data.qvel[0] = 1e20
mujoco.mj_step(model, data)
"""
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120)
    quiet, _, loud = done.stderr.partition("quiet so far\n")
    assert (done.returncode, done.stdout, quiet) == (0, "", "")
    assert "huge value in QVEL" in loud  # what others do with MuJoCo is still theirs to hear of


def test_real_warnings_of_a_model_become_python_warnings(tmp_path):
    strange = tmp_path / "strange.xml"
    strange.write_text('<mujoco><option wind="nan 0 0"/></mujoco>')
    with pytest.warns(UserWarning, match="MuJoCo: XML contains a 'NaN'"):
        load_model(str(strange))


def test_a_missing_model_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(TaskError) as error:
        load_model("./robots/scene.xml", tmp_path)
    assert str(error.value).startswith(f"model './robots/scene.xml': no such file in {tmp_path}, {ASSETS}, ")
    assert "gymnasium" in str(error.value)


def test_a_picture_has_the_simulations_own_places():
    """As the targets of dm_control's reacher and fish, which a reset moves in the model."""
    physics = CpuPhysics(load_model("hopper.xml"), 2, 1, ("xpos",))
    physics.expand("body_pos")[1, -1] += 0.1
    physics.forward()
    seen = mujoco.MjData(load_model("hopper.xml"))
    for i in (1, 0):
        physics.mirror(i, seen)
        assert np.array_equal(seen.xpos, physics.bind("xpos")[i])
