"""The reaction of a training to a suspected collapse."""

import itertools
import shutil

import pytest
import torch

import pgcontrol
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load
from pgcontrol.runs.log import read_rows
from pgcontrol.training.resume import resume
from pgcontrol.training.train import loop
from tests.diagnosis.planted import Planted, forced

SETTINGS = {
    "env": "InvertedPendulum-v5",
    "num_envs": 8,
    "rollout_steps": 16,
    "total_steps": 24_576,
    "checkpoint_every": 1024,
    "eval_every": 0,
    "algorithm.epochs": 1,
    "algorithm.minibatch": 128,
    "video": False,
    "compile": "off",
    "threads": 1,
}


def narrowed(path, **settings):
    """A training whose policy is made narrow between a tenth and three tenths of the budget."""
    config = configure(SETTINGS | settings | {"run_dir": str(path)})
    learner = Planted(config)
    learner.plan = forced(0.005, 0.1, 0.3)
    folder = RunFolder.create(config)
    folder.write_manifest(compiled=False)
    loop(learner, folder)
    return RunFolder.open(path)


def acts(run):
    return run.manifest().get("on_collapse", [])


@pytest.fixture(scope="module")
def widened(tmp_path_factory):
    return narrowed(tmp_path_factory.mktemp("guard") / "run", on_collapse="widen")


def test_a_narrow_policy_is_widened_and_the_log_and_the_manifest_say_so(widened):
    noted = acts(widened)
    assert 1 <= len(noted) <= 3
    assert all(act["action"] == "widen" and 0.3 <= act["width"] <= 0.5 and act["why"] for act in noted)
    logged = [row for row in read_rows(widened.metrics_file) if "health/widened" in row]
    assert [row["time/total_timesteps"] for row in logged] == [act["step"] for act in noted]
    budget = SETTINGS["total_steps"]
    assert all(later["step"] - act["step"] >= 0.1 * budget for act, later in itertools.pairwise(noted))
    assert noted[-1]["step"] < 0.8 * budget


def test_a_widened_run_resumes_to_the_bit(tmp_path):
    """From checkpoints before and after the widening: the same widening, the same weights."""
    narrow = SETTINGS | {"total_steps": 8192, "head.initial_std": 0.02, "on_collapse": "widen"}
    run = RunFolder.open(pgcontrol.train(narrow | {"run_dir": str(tmp_path / "whole")}).path)
    at = acts(run)[0]["step"]
    assert at > 1024
    for number, wanted in enumerate((at - 1024, at + 1024)):
        copy = RunFolder(tmp_path / str(number))
        shutil.copytree(run.path, copy.path)
        resume([c for c in checkpoint.find(copy.path) if checkpoint.steps_of(c) <= wanted][-1])
        assert acts(copy) == acts(run)
        assert torch.equal(load(copy.path).theta, load(run.path).theta)


@pytest.mark.parametrize("action", ["warn", *(pytest.param(one, marks=pytest.mark.slow) for one in ("off", "stop"))])
def test_the_others_do_not_touch_the_policy(action, tmp_path):
    run = narrowed(tmp_path / "run", on_collapse=action)
    assert len(acts(run)) == (action != "off")
    steps = read_rows(run.metrics_file)[-1]["time/total_timesteps"]
    assert (steps < SETTINGS["total_steps"]) == (action == "stop")
    assert run.manifest()["status"] == ("stopped" if action == "stop" else "finished")
    if action == "stop":
        assert acts(run)[0]["step"] == steps


def test_a_healthy_run_is_unchanged(tmp_path):
    short = SETTINGS | {"total_steps": 8192}
    run = pgcontrol.train(short | {"on_collapse": "widen", "run_dir": str(tmp_path / "widen")})
    other = pgcontrol.train(short | {"run_dir": str(tmp_path / "off")})
    assert not acts(RunFolder.open(run.path))
    assert torch.equal(load(run.path).theta, load(other.path).theta)


def test_workers_cannot_be_widened(tmp_path):
    asked = {"env": "Bandit-v0", "algorithm": "a3c", "on_collapse": "widen", "run_dir": str(tmp_path / "run")}
    with pytest.raises(InputError, match="use warn or stop"):
        pgcontrol.train(asked)
    assert not list(tmp_path.iterdir())
