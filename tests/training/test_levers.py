"""Settings that change learning or the played weights: off, they change nothing; on, runs can be resumed."""

import pytest
import torch

import pgcontrol
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import load, make_env
from pgcontrol.runs.log import read_rows
from pgcontrol.training.learner import Learner, stream_seeds
from pgcontrol.training.train import scored
from tests.training.test_train import SMALL, resumes_to_the_bit, small

LEVERS = [
    {"algorithm.critic_epochs": 2, "algorithm.critic_minibatch": 64},
    {"algorithm.recompute_advantage": True},
    {"algorithm.reuse": 3},
    {"noise_beta": 1.0},
]


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A run whose last three updates of six are averaged, and its weights after each of them."""
    thetas = []
    path = tmp_path_factory.mktemp("averaged") / "run"
    trainer = pgcontrol.Trainer(**SMALL, average_from=0.6, total_steps=1536, eval_every=1536, run_dir=str(path))
    for _ in trainer:
        thetas.append(trainer.policy.theta.clone())
    return path, torch.stack(thetas).double()


def test_who_loads_a_run_gets_the_average_of_its_last_part(averaged):
    path, thetas = averaged
    mean = thetas[3:].mean(0).float()
    assert torch.allclose(load(path).theta, mean, atol=1e-7)
    assert not torch.equal(load(path).theta, thetas[-1].float())
    raw = Learner(small(average_from=0.6))
    raw.load(checkpoint.latest(path))
    assert torch.equal(raw.policy.theta, thetas[-1].float())
    *_, row = read_rows(path / "metrics.jsonl")
    env = make_env("Hopper-v5", 10, (seed := stream_seeds(0)["evaluation"]), 1)
    played, _ = scored(env, load(path), seed, record=False)
    assert played["eval/mean_reward"] == row["eval/mean_reward"]


def test_averaging_changes_nothing_of_the_training_and_resumes_to_the_bit(averaged, tmp_path):
    plain = Learner(small())
    other = resumes_to_the_bit(small(average_from=0.4), tmp_path)  # from before the checkpoint on
    for _ in range(6):
        plain.update()
    assert torch.equal(plain.policy.theta, other.policy.theta)
    assert torch.equal(plain.policy.theta, averaged[1][-1].float())
    assert other.average.count == 4
    with pytest.raises(InputError, match=r"average_from = 0.5: cannot average: algorithm 'a3c'"):
        Learner(configure({"env": "Hopper-v5", "algorithm": "a3c", "average_from": 0.5}))


@pytest.mark.parametrize("lever", LEVERS, ids=str)
def test_a_lever_changes_the_run_and_resumes_to_the_bit(lever, tmp_path):
    plain = Learner(small())
    for _ in range(6):
        plain.update()
    assert not torch.equal(plain.policy.theta, resumes_to_the_bit(small(**lever), tmp_path).policy.theta)
