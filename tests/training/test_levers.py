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
from pgcontrol.training.resume import resume
from pgcontrol.training.train import scored
from tests.training.test_train import SMALL, resumes_to_the_bit, small

LEVERS = [
    {"algorithm.critic_epochs": 2, "algorithm.critic_minibatch": 64},
    {"algorithm.recompute_advantage": True},
    {"algorithm.reuse": 3},
    {"noise_beta": 1.0},
]


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    """The weights after six updates without any of the settings."""
    learner = Learner(small())
    for _ in range(6):
        learner.update()
    return learner.policy.theta


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


def test_averaging_changes_nothing_of_the_training_and_resumes_to_the_bit(averaged, plain, tmp_path):
    other = resumes_to_the_bit(small(average_from=0.4), tmp_path)  # from before the checkpoint on
    assert torch.equal(plain, other.policy.theta)
    assert torch.equal(plain, averaged[1][-1].float())
    assert other.average.count == 4
    with pytest.raises(InputError, match=r"average_from = 0.5: cannot average: algorithm 'a3c'"):
        Learner(configure({"env": "Hopper-v5", "algorithm": "a3c", "average_from": 0.5}))


@pytest.mark.parametrize("lever", LEVERS, ids=str)
def test_a_lever_changes_the_run_and_resumes_to_the_bit(lever, plain, tmp_path):
    assert not torch.equal(plain, resumes_to_the_bit(small(**lever), tmp_path).policy.theta)


def test_an_average_that_has_not_begun_in_a_resumed_run_is_dropped(averaged):
    """With four times the budget, the old average is not from the last part; without averaging, it is not wanted."""
    path, _ = averaged
    for change in ({"total_steps": 6144}, {"average_from": None, "total_steps": 6144}):
        again = Learner(small(**{"average_from": 0.6} | change))
        again.load(checkpoint.latest(path))
        assert again.average.played() is again.policy
        assert again.average.state() == {}
        again.update()
        assert not again.average.count


def test_an_average_begins_again_when_the_weights_get_another_meaning():
    learner = Learner(small(head="token", average_from=0.0, **{"head.warmup": 0.5, "head.codes": 32}))
    counts = [int(learner.average.count) for _ in range(6) if learner.update()]
    assert counts == [1, 2, 3, 1, 2, 3]  # the first fit is in the fourth update
    learner.widen(0.3)
    assert learner.average.count == 0


ADAPTED = {"algorithm.entropy_target": 0.5, "algorithm.entropy_penalty": True, "algorithm.adaptive_kl": 1e-9}


def test_what_an_option_adapted_is_gone_if_a_resumed_run_turns_it_off(tmp_path):
    learner = Learner(small(**ADAPTED))
    for _ in range(3):
        learner.update()
    learner.save(tmp_path / "step_1")
    same, changed = Learner(small(**ADAPTED)), Learner(small(**{"algorithm.entropy_coef": 0.02}))
    for one in (same, changed):
        one.load(tmp_path / "step_1")
    adapted = ("entropy_coef", "entropy_penalty", "scale")
    assert all(getattr(same.rule, name) == getattr(learner.rule, name) for name in adapted)
    assert [float(getattr(changed.rule, name)) for name in adapted] == pytest.approx([0.02, 0, 1])
    changed.save(tmp_path / "step_2")
    on = Learner(small(**ADAPTED | {"algorithm.entropy_coef": 0.03}))
    on.load(tmp_path / "step_2")  # it begins with the values of a new run, not with those of the old setting
    fresh = Learner(small(**ADAPTED | {"algorithm.entropy_coef": 0.03}))
    assert all(getattr(on.rule, name) == getattr(fresh.rule, name) for name in adapted)


def test_reuse_goes_on_after_a_change_of_the_rollouts_length_and_keeps_gamma(tmp_path):
    path = tmp_path / "run"
    pgcontrol.train(small(run_dir=str(path), total_steps=512, checkpoint_every=512, **{"algorithm.reuse": 2}))
    with pytest.raises(InputError, match=r"algorithm.gamma = 0.9: a resumed run keeps its algorithm.gamma, 0.99"):
        resume(path, 1024, settings={"algorithm.gamma": 0.9})
    assert resume(path, 1536, settings={"rollout_steps": 32}).path == path
