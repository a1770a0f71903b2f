"""Several processes that torchrun starts make the run that one process makes, to rounding."""

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

import pgcontrol
from pgcontrol.machine.ranks import Ranks
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

# bins choose among the same actions although weights differ by rounding, so that the worlds stay the same to the bit
SMALL = {
    "env": "Hopper-v5",
    "head": "binned",
    "num_envs": 8,
    "rollout_steps": 32,
    "algorithm.minibatch": 64,
    "algorithm.epochs": 2,
    "algorithm.learning_rate": 1e-3,
    "total_steps": 5 * 8 * 32,
    "video": False,
    "eval_every": 5 * 8 * 32,
    "eval_episodes": 2,
    "checkpoint_every": 2 * 8 * 32,
    "compile": "off",
}
FED = [
    {"head": "gaussian"},
    {"head": "gaussian", "critic": "hl-gauss", "algorithm.recompute_advantage": True},
    {"head": "gaussian-tanh", "algorithm.value_clip": 0.2},
    {"head": "mixture", "algorithm.target_kl": 1e-4, "algorithm.adaptive_kl": 0.01},
    {"head": "binned", "algorithm.entropy_target": 1.0, "algorithm.critic_epochs": 2},
    {"head": "ordinal", "algorithm.minibatch": 100},  # the last minibatch of an epoch is smaller
    {"head": "token-offset"},
]


def torchrun(ranks: int, *words: object) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m", "pgcontrol"]
    return [sys.executable, *launcher, *map(str, words)]


def train(ranks: int, run: Path, **settings: object) -> list[str]:
    every = {**SMALL, "run_dir": run, **settings}
    return torchrun(ranks, "train", every.pop("env"), "--quiet", *(f"--{key}={value}" for key, value in every.items()))


def finish(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def weights(run: Path, at: int = -1) -> torch.Tensor:
    tensors, _ = checkpoint.load(checkpoint.find(run)[at])
    return torch.cat([x.flatten().double() for name, x in sorted(tensors.items()) if name.startswith("policy.")])


def measured(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The run by one process."""
    path = tmp_path_factory.mktemp("alone") / "run"
    pgcontrol.train({**SMALL, "run_dir": str(path)})
    return path


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """The same run by two."""
    path = tmp_path_factory.mktemp("together") / "run"
    finish(train(2, path))
    return path


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(alone, together):
    assert (weights(alone) - weights(together)).abs().max() <= 1e-6
    rows, theirs = measured(alone), measured(together)
    assert len(rows) == len(theirs) == 5
    for row, other in zip(rows, theirs, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() - {"train/ratio_error", "checksum"}:  # of two maxima the log has the mean
            near = row[name] if isinstance(row[name], str) else pytest.approx(row[name], rel=1e-3, abs=1e-4)
            assert other[name] == near, name
    assert json.loads((together / "manifest.json").read_text())["ranks"] == 2


@pytest.mark.slow
def test_processes_share_the_worlds_of_warp_and_any_number_resumes(tmp_path):
    """Here on Warp's CPU device. Each process makes start states for its own worlds, so it is not the run of one."""
    pytest.importorskip("mujoco_warp", reason="needs the extra gpu")
    run, steps = tmp_path / "run", 5 * 8 * 32
    finish(train(2, run, physics="warp", env="InvertedPendulum-v5", eval_every=0))
    for times, processes in enumerate((2, 1), start=2):
        finish(torchrun(processes, "resume", run, "--total_steps", times * steps))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["time/total_timesteps"] for row in rows] == [8 * 32 * (i + 1) for i in range(15)]
    assert all(row["train/kl"] > 0 for row in rows)
    tensors, _ = checkpoint.load(checkpoint.find(run)[-1])
    assert len(tensors["collector.obs"]) == SMALL["num_envs"]


@pytest.mark.parametrize("ranks", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_any_number_of_processes_continues_from_a_checkpoint(alone, together, ranks, tmp_path):
    at = checkpoint.find(together)[0]
    copied = tmp_path / "run"
    subprocess.run(["cp", "-r", together, copied], check=True)
    start = copied / "checkpoints" / at.name
    if ranks == 1:
        pgcontrol.resume(start)
    else:
        finish(torchrun(ranks, "resume", start, "--quiet"))
    assert (weights(alone) - weights(copied)).abs().max() <= 1e-6


def fed(rank: int, store: str, answers) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    apart = {}
    for number, settings in enumerate(FED):
        learner = Learner(configure({**SMALL, "total_steps": 10**5, **settings}))
        policy = copy.deepcopy(learner.policy)
        shared = type(learner.rule)(policy, learner.rule.options, estimator=learner.estimator, ranks=Ranks(rank, 2))
        drawn = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
        for _ in range(5):
            rollout = learner.collect()
            estimate = rollout.estimate(learner.estimator)
            for rule, rng in zip((learner.rule, shared), drawn, strict=True):
                rule.update(rollout, estimate, 0.0, rng)
            for critic in (learner.policy.critic, policy.critic):
                critic.adapt(estimate.target.flatten())
        apart[number] = float((learner.policy.theta - policy.theta).abs().max())
        learner.close()
    answers.put(apart)


@pytest.mark.slow
def test_on_equal_rollouts_two_processes_take_the_steps_of_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=fed, args=(rank, str(tmp_path / "store"), answers)) for rank in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=240) for _ in processes]
    for process in processes:
        process.join()
    for apart in found:
        assert {number: error for number, error in apart.items() if not error <= 1e-6} == {}


def test_settings_that_processes_cannot_share_are_refused_with_those_that_would_do():
    with pytest.raises(InputError, match=r"num_envs = 9: must be a multiple of the 4 processes, such as 8 or 12"):
        Ranks(1, 4).require_even("num_envs", 9)
    with pytest.raises(InputError, match=r"num_envs = 3: must be a multiple of the 4 processes, such as 4"):
        Ranks(0, 4).require_even("num_envs", 3)


@pytest.mark.slow
def test_one_line_for_all_processes_and_no_folder(tmp_path):
    command = train(2, tmp_path / "run", **{"algorithm.minibatch": 63})
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("pgcontrol:")]
    assert len(lines) == 1, done.stderr
    assert "algorithm.minibatch = 63: must be a multiple of the 2 processes, such as 62 or 64" in lines[0]
    assert done.returncode
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_the_death_of_one_ends_all_with_one_line_and_a_checkpoint_to_continue_from(tmp_path, victim):
    run = tmp_path / "run"
    process = subprocess.Popen(
        train(2, run, total_steps=10**6, eval_every=0), stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    deadline = time.monotonic() + 120
    while not checkpoint.find(run):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    listed = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    ranks = sorted(map(int, listed.split()))
    os.kill(ranks.pop(victim), signal.SIGKILL)
    while process.poll() is None:  # as torchrun does once, at any time of the end
        with contextlib.suppress(ProcessLookupError):
            os.kill(ranks[0], signal.SIGTERM)
        time.sleep(0.01)
    _, error = process.communicate(timeout=90)
    lines = [line for line in error.splitlines() if line.startswith("pgcontrol:")]
    assert len(lines) == 1, error
    assert "has ended" in lines[0]
    assert process.returncode
    steps = checkpoint.steps_of(checkpoint.latest(run))
    pgcontrol.resume(run, total_steps=steps + 256)


@pytest.mark.slow
def test_ctrl_c_stops_all_with_a_checkpoint(tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(train(2, run, total_steps=10**6, eval_every=0), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not checkpoint.find(run):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "stopped"
    assert checkpoint.steps_of(checkpoint.latest(run)) == manifest["steps"]
