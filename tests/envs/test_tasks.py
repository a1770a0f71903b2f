"""The catalogue of tasks."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import json
import subprocess
import sys
from typing import Any

import mujoco
import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.physics import CpuPhysics
from pgcontrol_envs.random_streams import LegacyStreams, Streams
from pgcontrol_envs.suite.base import SuiteTask
from pgcontrol_envs.vector import TaskVecEnv

DROPPED_IN = """
from pgcontrol_envs.tasks.hopper import Hopper


class Skipper(Hopper):
    \"\"\"A hopper that is in more of a hurry.\"\"\"

    id = "Skipper-v0"
    time_limit = 7
"""


def test_all_eleven_are_there():
    names = (
        "Ant HalfCheetah Hopper Humanoid HumanoidStandup InvertedDoublePendulum InvertedPendulum Pusher Reacher "
        "Swimmer Walker2d"
    )
    assert set(pgcontrol_envs.catalog()) >= {f"{name}-v5" for name in names.split()}


def test_a_new_file_is_enough(tmp_path):
    (tmp_path / "skipper.py").write_text(DROPPED_IN)
    code = f"""
import pgcontrol_envs.tasks
pgcontrol_envs.tasks.__path__.append({str(tmp_path)!r})
pgcontrol_envs.tasks.built_in.cache_clear()  # the import has read the folder
assert "Skipper-v0" in pgcontrol_envs.catalog()
env = pgcontrol_envs.make("Skipper-v0", 2)
print(env.reset().shape, env.time_limit)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("torch.Size([2, 11]) 7\n", "")


def test_the_agent_is_in_view(task):
    """Every body of the agent projects well inside a 4:3 picture, at the start and 100 m further on."""
    env = pgcontrol_envs.make(task, 1)
    assert env.task is not None
    env.reset()
    model = env.task.model
    data = mujoco.MjData(model)
    camera = env.task.camera
    for away in (0.0, 100.0) if camera.track else (0.0,):
        data.qpos[:] = env.qpos(0)
        data.qpos[0] += away
        mujoco.mj_forward(model, data)
        center = data.subtree_com[model.body(camera.track).id] if camera.track else np.array(camera.lookat)
        azimuth, elevation = np.radians(camera.azimuth), np.radians(camera.elevation)
        forward = np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        eye = center - camera.distance * forward
        right = np.array([np.sin(azimuth), -np.cos(azimuth), 0])
        up = np.cross(right, forward)
        half = np.tan(np.radians(model.vis.global_.fovy) / 2)
        for place in data.xipos[1:]:
            depth = (place - eye) @ forward
            assert depth > 0
            assert abs((place - eye) @ up) < 0.9 * half * depth
            assert abs((place - eye) @ right) < 0.9 * half * depth * 4 / 3


def test_streams_are_gymnasiums():
    streams = Streams.seeded(3, 10)
    generators = [np.random.Generator(np.random.PCG64(np.random.SeedSequence(10 + i))) for i in range(3)]
    drawn = streams.uniform(-1, 2, 4)
    np.testing.assert_array_equal(drawn, [g.uniform(-1, 2, 4) for g in generators])
    some = streams.narrow(np.array([0, 2])).normal(3)
    np.testing.assert_array_equal(some, [generators[i].standard_normal(3) for i in (0, 2)])
    np.testing.assert_array_equal(streams.normal(1), [g.standard_normal(1) for g in generators])


def test_legacy_streams_are_dm_controls():
    streams = LegacyStreams.seeded(2, 10)
    generators = [np.random.RandomState(10 + i) for i in range(2)]
    np.testing.assert_array_equal(streams.normal(3), [g.randn(3) for g in generators])  # an odd number: one is kept
    saved = json.loads(json.dumps(streams.state()))
    expected = streams.normal(2)
    np.testing.assert_array_equal(expected, [g.randn(2) for g in generators])
    other = LegacyStreams.seeded(2, 0)
    other.load_state(saved)
    np.testing.assert_array_equal(other.normal(2), expected)
    other.reseed(1, 2**32 + 11)  # modulo 2^32
    np.testing.assert_array_equal(other.uniform(0, 1, 2)[1], np.random.RandomState(11).uniform(0, 1, 2))


def test_rejection_draws_again_only_where_refused():
    streams, generators = Streams.seeded(3, 0), [np.random.default_rng(i) for i in range(3)]
    drawn = streams.until(lambda x: x[:, 0] > 0.9, lambda some: some.uniform(0, 1, 1))
    for row, generator in zip(drawn, generators, strict=True):
        while (value := generator.uniform(0, 1)) <= 0.9:
            pass
        assert row == pytest.approx(value, abs=0)


class TorchPhysics:
    """The views of a CpuPhysics as torch tensors over the same memory: what a task would meet on a GPU."""

    def __init__(self, cpu: CpuPhysics):
        self.model = cpu.model
        self.bind: Any = lambda field: torch.from_numpy(cpu.bind(field).copy())
        self.expand: Any = lambda field: torch.from_numpy(cpu.expand(field))
        live = cpu.qpos, cpu.qvel, cpu.ctrl, cpu.time, cpu.userdata
        self.qpos, self.qvel, self.ctrl, self.time, self.userdata = (torch.from_numpy(array) for array in live)
        self.array = torch.from_numpy
        self.noise, self.expand = TorchNoise(cpu), lambda field: torch.from_numpy(cpu.expand(field).copy())
        self.set_const: Any = lambda ids: None


class TorchNoise:
    """The noise of a CpuPhysics as torch tensors."""

    def __init__(self, cpu: CpuPhysics):
        self.cpu = cpu

    def uniform(self, name, low, high, size):
        return low + (high - low) * torch.from_numpy(self.cpu.noise.uniform(name, 0.0, 1.0, size))

    def normal(self, name, size):
        return torch.from_numpy(self.cpu.noise.normal(name, size))


class TorchStreams(Streams):
    """Streams whose draws are torch tensors."""

    def uniform(self, low, high, size):
        return torch.from_numpy(super().uniform(low, high, size))

    def normal(self, size):
        return torch.from_numpy(super().normal(size))


def test_tasks_compute_the_same_in_torch(task):
    """A task is written once, for numpy on the CPU and torch on a GPU."""
    env = TaskVecEnv(pgcontrol_envs.catalog()[task], 4, seed=0)
    env.reset()
    low, high = env.action_low, env.action_high
    float32: Any = {"rtol": 1e-5, "atol": 1e-5}
    twin: Any = None
    for _ in range(8):
        action, before = low + (high - low) * torch.rand(4, len(low)), env.task.before()
        before = None if before is None else before.copy()
        step = env.step(action)
        twin = type(env.task)()
        twin.bind(TorchPhysics(env.physics))
        torch.testing.assert_close(twin.observe(), step.obs[:, : env.obs_size])
        terminated = twin.terminated()
        assert terminated is None or torch.equal(terminated, step.terminated)
        reward, terms = twin.reward(action, None if before is None else torch.from_numpy(before), step.terminated)
        torch.testing.assert_close(reward, step.reward, check_dtype=False, **float32)
        for name, term in step.terms.items():
            torch.testing.assert_close(terms[name], term, check_dtype=False, **float32)
        memory = env.physics.userdata.copy()
        twin.remember()
        np.testing.assert_array_equal(env.physics.userdata, memory)  # noted twice, nothing changes
        if twin.routes:
            route, noise = torch.arange(4) % len(twin.routes), torch.randn(4, len(low), dtype=torch.float64)
            torch.testing.assert_close(twin.route(), torch.from_numpy(env.task.route()))
            demonstrated = torch.from_numpy(env.task.demonstrate(route.numpy(), noise.numpy()))
            torch.testing.assert_close(twin.demonstrate(route, noise), demonstrated)
    if isinstance(env.task, SuiteTask):
        return  # which resets as dm_control does: with NumPy's own generators, one by one
    ids, physics = [0, 2], env.physics
    starts = []
    for reset in (
        lambda: env.task.reset(physics, np.array(ids), Streams.seeded(2, 7)),
        lambda: twin.reset(TorchPhysics(physics), torch.tensor(ids), TorchStreams.seeded(2, 7)),
    ):
        physics.reset(np.array(ids))
        reset()
        starts.append(np.concatenate((physics.qpos[ids], physics.qvel[ids]), -1))
    np.testing.assert_array_equal(*starts)


class TorchViews:
    """A physics of numpy as one of torch would look: the same memory."""

    def __init__(self, physics: CpuPhysics):
        self.physics, self.noise = physics, TorchNoise(physics)
        for name in ("qpos", "qvel", "ctrl", "time", "userdata"):
            setattr(self, name, self.bind(name))

    def array(self, constant: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(constant)

    def bind(self, field: str) -> torch.Tensor:
        return torch.from_numpy(np.lib.stride_tricks.as_strided(self.physics.bind(field)))  # also where it is read-only

    def expand(self, field: str) -> torch.Tensor:
        return torch.from_numpy(self.physics.expand(field))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_a_step_of_ours_is_the_same_in_numpy_and_in_torch(task):
    """What `pgcontrol_envs.arrays` says of our tasks: all that they compute in a step, torch can compute, too."""
    kinds: Any = pgcontrol_envs.catalog()[task]
    plain, other, ids = kinds(), kinds(), np.arange(3)
    physics = CpuPhysics(plain.model, 3, 1, plain.derived)
    plain.bind(physics)
    other.bind(TorchViews(physics))
    physics.reset(ids)
    plain.reset(physics, ids, Streams.seeded(3, 0).narrow(ids))
    physics.forward(ids)
    action = 0.5 * plain.action_high.numpy() * np.ones((3, 1))
    starts = [None if (before := one.before()) is None else before + 0 for one in (plain, other)]
    physics.ctrl[:] = action
    physics.step(plain.frame_skip, stage=plain.stage)
    answers = []
    for one, before, given in zip((plain, other), starts, (action, torch.from_numpy(action)), strict=True):
        one.remember()
        ended = one.terminated()
        ended = 0 * given[:, 0] > 1 if ended is None else ended
        reward, terms = one.reward(given, before, ended)
        answers.append({"observe": one.observe(), "terminated": ended, "reward": reward, **terms})
    for name, value in answers[1].items():
        assert isinstance(value, torch.Tensor), name
        np.testing.assert_allclose(value.numpy(), answers[0][name], rtol=1e-12, atol=1e-12, err_msg=name)
