"""Learning on a device: nothing is made or read elsewhere, states move, and what cannot work is refused in one line."""

import contextlib
import shutil
import sys
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pgcontrol
from pgcontrol.learning.samples import Minibatch
from pgcontrol.machine import devices, ranks
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.training.learner import Learner

META = torch.device("meta")  # has shapes, and no numbers: what reads a number fails
MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class OneDevice(TorchDispatchMode):
    """Fails where a tensor of another device is made or used; numbers (tensors without dimensions) may be anywhere."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        found = {x.device for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor) and x.dim()}
        assert func in MOVES or found <= {META}, f"{func} on {found}"
        return out


class Blind(TorchDispatchMode):
    """Fails where a tensor's numbers decide what happens next: a GPU would have to be waited for."""

    READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in self.READS, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


def learner(**settings: Any) -> Learner:
    fixed = {"env": "InvertedPendulum-v5", "num_envs": 4, "rollout_steps": 8, "algorithm.minibatch": 16, "threads": 1}
    return Learner(configure(fixed | {"compile": "off"} | settings))


DECQN = {"algorithm": "decqn", "algorithm.warmup": 16, "algorithm.replay_ratio": 4.0, "algorithm.capacity": 1000}


@pytest.mark.parametrize("head", catalog.heads())
def test_acting_and_a_gradient_step_stay_on_the_device(head: str):
    made = learner(head=head, **(DECQN if head == "utilities" else {}))
    policy = made.policy
    noise = policy.head.noise(6, torch.Generator()).to(META)
    policy.to(META)
    with META, OneDevice():
        _, choice = policy.respond(torch.zeros(6, policy.obs_size, dtype=torch.float64), noise)
        obs, number = torch.zeros(6, policy.obs_size), torch.zeros(6)
        now = policy(obs, choice)
        policy.head.entropy(now.params)
        policy.head.kl(now.params, now.params)
        if head == "utilities":
            return
        rule = catalog.algorithms()["ppo"].rule(policy, made.config.algorithm.options)
        batch = Minibatch(obs, choice, number, number, number, number)
        theta, adam, _ = rule.step(policy.theta, rule.adam, torch.zeros(()), batch, rule.entropy_coef)
    assert {theta.device, adam.moment1.device, policy.theta.device} == {META}


def test_a_policy_that_moves_keeps_its_weights_as_views_of_one_vector():
    policy = learner(symmetric=False).policy
    before = policy.theta.clone()
    policy.to(META).to_empty(device="cpu")
    policy.theta.copy_(before)
    assert torch.equal(torch.cat([p.flatten() for p in policy.parameters()]), before)
    assert policy.here() is policy


@pytest.mark.slow
def test_a_rollout_waits_for_the_device_once(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("mujoco_warp", reason="needs the extra gpu")
    import warp

    warp.config.optimization_level = 0
    made = learner(env="Go1-v0", physics="warp", head="token", **{"head.horizon": 2})
    made.update()  # draws the first pool of start states
    blind, seen = contextlib.ExitStack(), []
    kind: Any = type(made.env)
    step, check = kind.step, kind.check

    def stepped(self: Any, *args: Any, step: Any = step, seen: Any = seen) -> Any:
        with Blind():
            seen.append(1)
            return step(self, *args)

    monkeypatch.setattr(kind, "step", stepped)
    blind.enter_context(Blind())

    def checked(self: Any, check: Any = check, blind: Any = blind) -> None:
        blind.close()  # the look at the end of the rollout
        check(self)

    monkeypatch.setattr(kind, "check", checked)
    made.collector.collect()
    assert len(seen) == 16  # 8 choices of 2 actions


REFUSED = {
    "device = 'cuda:7': this machine has no such device": {"device": "cuda:7"},
    "device = 'gpu': must be cpu, cuda or cuda:i": {"device": "gpu"},
    "njmax = 9: only physics warp": {"njmax": 9},
    "physics = 'warp': the workers of algorithm 'a3c'": {"physics": "warp", "algorithm": "a3c"},
    "physics = 'warp': algorithm 'grpo' copies states": {"physics": "warp", "algorithm": "grpo"},
    "physics = 'warp': peer 'sb3'": {"physics": "warp", "peer": "sb3"},
    "physics = 'warp': gym:Pendulum-v1": {"physics": "warp", "env": "gym:Pendulum-v1"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(message: str, tmp_path: Any):
    with pytest.raises(InputError) as error:
        pgcontrol.train({"env": "Hopper-v5", "run_dir": str(tmp_path / "run")} | REFUSED[message])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not [*tmp_path.iterdir()]


def test_physics_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    from pgcontrol_envs import warp_physics

    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    warp_physics.library.cache_clear()
    with pytest.raises(InputError, match=r"physics = 'warp' needs mujoco_warp: pip install 'pgcontrol\[gpu\]'"):
        learner(physics="warp")
    warp_physics.library.cache_clear()


def test_each_of_several_processes_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [devices.named("cuda", ranks.Ranks(2 + i, 4, i)) for i in (0, 1)] == [
        *map(torch.device, ("cuda:0", "cuda:1"))
    ]
    assert devices.named("cpu", ranks.Ranks(1, 2, 1)) == torch.device("cpu")
    assert devices.named("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="device = 'cuda:1': each of the 2 processes needs its own; use cuda"):
        devices.named("cuda:1", ranks.Ranks(0, 2))
    with pytest.raises(
        InputError, match="device = 'cuda:2': this machine has no such device; it has cpu, cuda:0, cuda:1"
    ):
        devices.named("cuda", ranks.Ranks(2, 3, 2))


def test_tensors_of_gpus_are_exchanged_by_nccl(monkeypatch: pytest.MonkeyPatch):
    assert ranks._backends() == "gloo"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: True)
    assert ranks._backends() == "cpu:gloo,cuda:nccl"


def test_worlds_that_do_not_fit_are_counted(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("mujoco_warp", reason="needs the extra gpu")
    monkeypatch.setattr(devices, "available", lambda device: 50_000_000)
    with pytest.raises(InputError, match=r"^num_envs = 4096: .* at most \d+ would fit"):
        learner(env="HalfCheetah-v5", physics="warp", num_envs=4096)


@pytest.mark.slow
def test_a_run_moves_between_physics(tmp_path: Any):
    warp = pytest.importorskip("warp", reason="needs the extra gpu")
    warp.config.optimization_level = 0
    run, settings = tmp_path / "run", {"rollout_steps": 8, "num_envs": 8, "algorithm.minibatch": 16, "threads": 1}
    settings |= {"eval_every": 0, "run_dir": str(run), "env": "InvertedPendulum-v5", "total_steps": 192}
    begun = pgcontrol.train(settings | {"physics": "warp"}, on_update=lambda row: True)
    manifest = RunFolder.open(run).manifest()
    assert (manifest["device"], manifest["reproducible"]) == ("cpu", True)
    assert "warp physics on the CPU" in manifest["determinism"]
    same = shutil.copytree(run, tmp_path / "same")
    one = pgcontrol.resume(same)
    again = shutil.copytree(run, tmp_path / "again")
    assert begun.status == "stopped"
    shutil.rmtree(run / "videos")
    there = pgcontrol.resume(again)
    for other in (there.policy(), one.policy()):
        assert torch.equal(other.theta, one.policy().theta)  # bit for bit, where nothing moved
    moved = pgcontrol.resume(run, settings={"physics": "native"})
    assert moved.status == "finished"
    assert moved.policy().theta.isfinite().all()
    assert not torch.equal(moved.policy().theta, one.policy().theta)
