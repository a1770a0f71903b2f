"""Asynchronous training: its description, signals, checkpoints, and no process is left."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.multiprocessing as multiprocessing

import pgcontrol
from pgcontrol.options import InputError
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.queue import RenderQueue
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.training import train
from pgcontrol.training.asynchronous import Shared, WorkerFailed, Workers, moving, update
from pgcontrol.training.learner import Learner

SMALL = {
    "env": "InvertedPendulum-v5",
    "algorithm": "a3c",
    "num_envs": 4,
    "eval_every": 0,
    "video": False,
    "algorithm.workers": 2,
}


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie (Z) does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.slow
def test_a_signal_checkpoints_ends_the_workers_and_a_resume_continues(tmp_path):
    path = tmp_path / "run"
    words = [f"--{key}={value}" for key, value in SMALL.items() if key != "env"]
    command = [sys.executable, "-m", "pgcontrol", "train", "InvertedPendulum-v5", "--run-dir", str(path), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (path / "metrics.jsonl").exists() or not (path / "metrics.jsonl").read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    workers = children(process.pid)
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "is not reproducible bit for bit" in out
    assert json.loads((path / "manifest.json").read_text())["reproducible"] is False
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    steps = checkpoint.steps_of(checkpoint.latest(path))
    assert steps > 0
    run = pgcontrol.resume(path, total_steps=steps + 512)
    assert run.status == "finished"
    assert run.steps >= steps + 512
    assert run.policy().theta.isfinite().all()


def test_an_evaluation_does_not_undo_what_workers_learn_meanwhile(tmp_path, monkeypatch):
    config = configure(SMALL)
    learner, before = Learner(config), []

    def scored(env, policy, *_, **__):
        before.append(policy.theta.clone())
        learner.policy.theta.add_(1)  # as a worker does
        assert torch.equal(policy.theta, before[0])
        return {}, None

    monkeypatch.setattr(train, "scored", scored)
    with RenderQueue(tmp_path, print, ClipFormat()) as clips:
        train._evaluate(learner, RunFolder(tmp_path), clips)
    assert torch.equal(learner.policy.theta, before[0] + 1)


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_the_others_end():
    workers = Workers(Learner(configure(SMALL)))
    workers.update()
    workers.processes[0].kill()
    workers.processes[0].join()
    with pytest.raises(WorkerFailed, match="worker 0 ended with exit code -9"):
        workers.update()
    workers.close()
    assert not any(process.is_alive() for process in workers.processes)


def test_a_worker_adds_its_share_of_a_step_and_leaves_its_moments():
    left = []
    for workers in (1, 2):
        learner, worker = (
            Learner(configure(SMALL | {"algorithm.workers": workers, "compile": "off", "threads": 1})) for _ in range(2)
        )
        weights = {name: tensor.clone() for name, tensor in moving(learner).items()}
        scale = learner.collector.reward_scale
        shared = Shared(weights, learner.policy.normaliser, scale, multiprocessing.Value("q", 0), None, None)
        update(worker, shared)
        assert scale.count == worker.collector.reward_scale.count > 0
        left.append((weights["theta"] - learner.policy.theta, weights["rule.moment1"]))
        worker.close()
        learner.close()
    (whole, moment1), (half, same) = left
    assert whole.abs().max() > 1e-4
    assert torch.allclose(half, whole / 2, atol=1e-7)
    assert torch.equal(moment1, same)


SCRIPTS = {
    "a pool": (
        """
def run(path):
    return pgcontrol.train(SMALL | {"run_dir": path}).status
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(run, ["run"])
""",
        "a daemonic process may not: concurrent.futures.ProcessPoolExecutor can",
    ),
    "no guard": (
        """
pgcontrol.train(SMALL | {"run_dir": "run"})
""",
        "a script must train below if __name__ == '__main__'",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_cannot_start_workers_gets_an_error_and_leaves_nothing(name, tmp_path):
    code, line = SCRIPTS[name]
    (tmp_path / "script.py").write_text(f"import multiprocessing\nimport pgcontrol\nSMALL = {SMALL!r}\n{code}")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert line in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_from_standard_input_cannot_start_workers(tmp_path):
    code = f"import pgcontrol\npgcontrol.train({SMALL | {'run_dir': 'run'}!r})"
    done = subprocess.run([sys.executable], input=code, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "run the script, but <stdin> is not a file; save it as one" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_workers_do_not_compile():
    asked = {"env": "Hopper-v5", "algorithm": "a3c", "total_steps": 10**9}
    assert not Learner(configure(asked)).compilation.on
    with pytest.raises(InputError, match=r"compile = 'on': the workers of algorithm 'a3c' do not compile; use auto"):
        Learner(configure(asked | {"compile": "on"}))


def test_workers_scale_rewards_alike_and_a_resumed_run_goes_on_with_that_scale(tmp_path):
    """They share one critic, whose values are in units of the scaled reward."""
    learner = Learner(configure(SMALL | {"compile": "off", "threads": 1}))
    weights = {name: tensor.clone() for name, tensor in moving(learner).items()}
    scale, steps = learner.collector.reward_scale, multiprocessing.Value("q", 0)
    shared = Shared(weights, learner.policy.normaliser, scale, steps, None, None)
    workers = [Learner(configure(SMALL | {"seed": seed, "compile": "off", "threads": 1})) for seed in (1, 2)]
    for worker in workers * 2:
        update(worker, shared)
    first, second = (worker.collector.reward_scale for worker in workers)
    assert second.count == scale.count
    assert 0 < first.count < second.count  # it continued from the other's
    learner.save(tmp_path / "step_1")
    again = Learner(configure(SMALL | {"compile": "off", "threads": 1}), fresh=False)
    again.load(tmp_path / "step_1")
    assert again.collector.reward_scale.count == scale.count
    for one in (learner, again, *workers):
        one.close()
