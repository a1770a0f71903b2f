"""Tasks compute on the device of their physics: on torch's meta device, which has shapes and no numbers."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from operator import attrgetter
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from pgcontrol_envs.device_noise import DeviceNoise
from pgcontrol_envs.random_streams import Noise
from pgcontrol_envs.tasks import built_in
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META, N = torch.device("meta"), 3


class OneDevice(TorchDispatchMode):
    """Fails where a tensor with dimensions is made or used elsewhere."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        found = {x.device for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor) and x.dim()}
        assert found <= {META}, f"{func} on {found}"
        return out


class Shapes:
    """A physics on the meta device."""

    def __init__(self, model: Any):
        self.model, self.data, self.noise = model, mujoco.MjData(model), DeviceNoise(N, 0, META)
        fields = "qpos", "qvel", "ctrl", "time", "userdata", "xfrc_applied"
        self.qpos, self.qvel, self.ctrl, self.time, self.userdata, self.xfrc_applied = map(self.bind, fields)

    def array(self, constant: np.ndarray) -> Tensor:
        return torch.zeros(np.shape(constant), device=META)

    def bind(self, field: str) -> Tensor:
        return torch.zeros(N, *np.shape(getattr(self.data, field)), device=META)

    def expand(self, field: str) -> Tensor:
        return torch.zeros(N, *np.shape(attrgetter(field)(self.model)), device=META)


def test_a_seed_restarts_the_noise_of_a_device_as_that_of_the_cpu():
    device, cpu = DeviceNoise(2, 0, torch.device("cpu")), Noise(2, 0)
    for _ in range(3):
        device.restart(torch.ones(2, dtype=torch.bool))
        cpu.restart(slice(None))
    device.reseed(1, 12)
    cpu.reseed(1, 12)
    assert np.array_equal(device.state.numpy(), cpu.state)


@pytest.mark.parametrize("name", built_in())
def test_a_step_of_the_task_stays_on_the_device(name: str):
    task = built_in()[name]()
    physics: Any = Shapes(task.model)
    task.bind(physics)
    physics.noise.uniform("first", 0.0, 1.0, 1)
    with OneDevice():
        before = task.before()
        task.remember()
        terminated = task.terminated()
        if terminated is None:
            terminated = torch.zeros(N, dtype=torch.bool, device=META)
        reward, terms = task.reward(physics.ctrl, before, terminated)
        found = [task.observe(), reward, terminated, *terms.values(), *task.metrics().values(), *task.ending().values()]
        found += [more] if (more := task.privileged()) is not None else []
        found += [task.route()] if task.routes else []
    assert all(isinstance(part, Tensor) and part.device == META and len(part) == N for part in found)
