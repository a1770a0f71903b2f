"""Observations for the critic only: all stages of a run with them, on the quadruped."""

import json

import pytest
import torch

import pgcontrol
from pgcontrol.moments import Normaliser
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.training import outcome
from pgcontrol.training.learner import Learner

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


def test_an_outcome_has_the_tasks_own_measures_and_no_others():
    evaluated = {"eval/mean_reward": 1.0, "eval/success_sampled": 1.0, "eval/fell": 0.5, "eval/fell_sampled": 0.25}
    assert outcome.measured(evaluated | {"train/kl": 0.1}) == {"measured": {"fell": 0.5, "fell_sampled": 0.25}}
    assert outcome.measured({"eval/mean_reward": 1.0}) == {}


@pytest.mark.parametrize("float32", [False, True])
def test_an_export_takes_what_the_policy_sees(run, tmp_path, float32):
    made = pgcontrol.export(run.path, tmp_path / "p.onnx", float32=float32)
    (obs,) = json.loads(made.description.read_text())["inputs"]
    assert obs["shape"] == ["N", 45]


@pytest.fixture(scope="module")
def cloned(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloned")
    pgcontrol.record(str(run.path), folder / "data", episodes=4)
    settings = {"dataset": str(folder / "data"), "run_dir": str(folder / "clone"), "steps": 5, "eval_episodes": 2}
    return pgcontrol.clone(settings | {"hidden": [8]})


def test_a_dataset_holds_what_the_policy_sees_and_can_be_cloned(cloned):
    assert cloned.policy().normaliser.mean.shape == (45,)


def tuner(prior, **settings) -> Learner:
    quick = {"env": "Go1-v0", "prior": str(prior.path), "prior_warmup": 256, "total_steps": 1024, "eval_episodes": 2}
    return Learner(configure(SMALL | QUIET | quick | settings))


@pytest.mark.parametrize("prior", ["cloned", "run"])
def test_a_prior_brings_what_the_policy_sees_and_the_critic_learns_its_columns(prior, request):
    prior = request.getfixturevalue(prior)
    learner, policy = tuner(prior), prior.policy()
    seen, moments = policy.obs_size, learner.policy.normaliser
    obs = torch.randn(16, seen + 18, dtype=torch.float64)
    expected = policy.params(policy.normaliser(obs[:, :seen]))
    assert not moments.mean[seen:].any()
    for steps in (128, 256):
        row = learner.update()
        assert row["train/kl"] == row["prior/kl"] == 0
        assert moments.count == steps
    assert torch.equal(learner.policy.params(moments(obs[:, :seen])), expected)
    # rows that are further apart in memory may be multiplied in another order
    assert torch.allclose(learner.policy.params(moments(obs)), expected, atol=1e-5)
    assert torch.equal(moments.scale[:seen], policy.normaliser.scale[:seen])
    assert learner.rollout
    heard = learner.rollout.raw_obs[..., seen:].flatten(0, 1)
    assert torch.allclose(moments.mean[seen:], heard.mean(0), atol=3 * float(heard.std(0).max()))
    assert (moments.var[seen:] != 1).all()
    assert learner.update()["train/kl"] > 0
    learner.close()


def test_a_run_from_a_clone_resumes_to_the_bit(cloned, tmp_path):
    straight, first = tuner(cloned), tuner(cloned)
    for _ in range(4):
        straight.update()
    for _ in range(3):
        first.update()
    first.save(tmp_path / "step_1")
    second = Learner(first.config, fresh=False)
    second.load(tmp_path / "step_1")
    second.update()
    for name, tensor in straight.policy.state_dict().items():
        assert torch.equal(tensor, second.policy.state_dict()[name]), name


def test_a_prior_says_whether_the_policy_is_symmetric(run, cloned):
    assert tuner(run).policy.mirror is not None
    assert tuner(cloned).policy.mirror is None
    with pytest.raises(InputError, match=r"its mirror is None, here it is \[\[\["):
        tuner(cloned, symmetric=True)


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
