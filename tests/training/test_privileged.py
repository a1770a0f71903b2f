"""What only the critic sees: a run's whole life with it, on the quadruped."""

import json

import pytest
import torch

import pgcontrol
from pgcontrol.moments import Normaliser
from pgcontrol.options import InputError

SMALL = {"num_envs": 4, "rollout_steps": 32, "total_steps": 256, "algorithm.minibatch": 64, "hidden": [8]}
QUIET = {"eval_every": 0, "video": False, "threads": 1, "compile": "off"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("privileged") / "run"
    return pgcontrol.train({"env": "Go1-v0", "run_dir": str(folder)} | SMALL | QUIET)


def test_evaluations_have_the_tasks_own_measures(run):
    summary = pgcontrol.evaluate(run.path, episodes=2).summary()
    for agent in ("mode", "sampled"):
        assert 0 < summary[agent]["eval/speed_error"] < 3
        assert 0 < summary[agent]["eval/yaw_error"] < 10
        assert summary[agent]["eval/fell"] in (0, 0.5, 1)
    row = run.metrics()[-1]
    assert {"rollout/speed_error", "rollout/yaw_error"} <= row.keys()


@pytest.mark.parametrize("float32", [False, True])
def test_an_export_takes_what_the_policy_sees(run, tmp_path, float32):
    made = pgcontrol.export(run.path, tmp_path / "p.onnx", float32=float32)
    (obs,) = json.loads(made.description.read_text())["inputs"]
    assert obs["shape"] == ["N", 45]


def test_a_dataset_holds_what_the_policy_sees_and_can_be_cloned(run, tmp_path):
    pgcontrol.record(str(run.path), tmp_path / "data", episodes=4)
    settings = {"dataset": str(tmp_path / "data"), "run_dir": str(tmp_path / "clone"), "steps": 5, "eval_episodes": 2}
    made = pgcontrol.clone(settings | {"hidden": [8]})
    assert made.policy().normaliser.mean.shape == (45,)
    with pytest.raises(InputError, match="its privileged is None, here it is 18"):
        pgcontrol.train({"env": "Go1-v0", "prior": str(made.path), "run_dir": str(tmp_path / "on")} | SMALL | QUIET)


def test_a_resumed_run_is_the_run(run, tmp_path):
    settings = {"env": "Go1-v0", "run_dir": str(tmp_path / "half"), "checkpoint_every": 128} | SMALL | QUIET
    stopped = pgcontrol.train(settings, on_update=lambda row: row["time/total_timesteps"] >= 128)
    assert stopped.steps == 128
    assert torch.equal(pgcontrol.resume(stopped.path).policy().theta, run.policy().theta)


def test_a_normaliser_reads_the_columns_that_both_have():
    normaliser = Normaliser(3)
    normaliser.update(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)))
    obs = torch.ones(2, 4)
    assert torch.equal(normaliser(obs), normaliser(obs[:, :3]))
    assert torch.equal(normaliser(obs[:, :2]), normaliser(obs)[:, :2])
