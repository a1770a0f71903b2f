"""Settings against a collapse of σ: its own step size, and a target for the entropy."""

import numpy as np
import pytest
import torch

from pgcontrol.learning.ppo import ENTROPY_COEFS
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

SMALL = {"env": "Bandit-v0", "num_envs": 16, "rollout_steps": 32, "eval_every": 0, "threads": 1, "total_steps": 20_000}
# updates of 20 gradient steps, as in `SMALL`, from a quarter of the steps of a task that is quicker to simulate
QUICK = {"env": "Reacher-v5", "rollout_steps": 8, "algorithm.minibatch": 64}


def trained(updates, **settings):
    learner = Learner(configure(SMALL | settings))
    rows = [learner.update() for _ in range(updates)]
    return learner, rows


@pytest.mark.parametrize("head", ["gaussian", "gaussian-state", "gaussian-tanh", "mixture"])
def test_a_rate_of_zero_leaves_sigma_and_nothing_else(head):
    before = Learner(configure(SMALL | {"head": head, "head.std_rate": 0})).policy
    after = trained(2, head=head, **{"head.std_rate": 0})[0].policy
    obs = torch.zeros(3, 1)

    def log_std(policy):
        params = policy.params(obs)
        return params[..., -policy.head.joints :] if head == "mixture" else params[:, 1]

    if "state" in head or head == "mixture":  # σ's layer stays, what it reads of the trunk moves
        assert torch.allclose(log_std(before), log_std(after), atol=0.05)
    else:
        assert torch.equal(log_std(before), log_std(after))
    assert not torch.equal(before.theta, after.theta)


def test_natural_gradients_refuse_a_rate_of_sigmas_own():
    with pytest.raises(InputError, match=r"head\.std_rate: a natural gradient has one step"):
        Learner(configure(SMALL | {"algorithm": "npg", "head.std_rate": 0.5}))


def test_entropy_is_held_up_by_its_target():
    """From σ = 0.2, or −0.19 nats: under a fixed bonus it falls, with a target the bonus grows until it does not."""
    settings = {"head.initial_std": 0.2, "algorithm.learning_rate": 3e-3, "algorithm.entropy_coef": 0.5}
    ends = {}
    for target in (None, 0.5):
        learner = Learner(configure(SMALL | settings | {"algorithm.entropy_target": target}))
        rows = [learner.update() for _ in range(8)]
        ends[target] = -rows[-1]["train/entropy_loss"]
        assert ("train/entropy_coef" in rows[0]) == (target is not None)
    assert rows[-1]["train/entropy_coef"] > 1
    assert ends[0.5] > ends[None] + 0.2
    below = Learner(configure(SMALL | settings | {"algorithm.entropy_target": -3.0}))
    assert below.update()["train/entropy_coef"] > below.update()["train/entropy_coef"]


def test_a_penalty_lowers_the_entropy_towards_its_target():
    """From σ = 1, or 1.4 nats, which fall by themselves, but more slowly."""
    settings = QUICK | {"head.initial_std": 1.0, "algorithm.learning_rate": 3e-3, "algorithm.entropy_target": 0.0}
    ends = {}
    for penalty in (False, True):
        given = settings | {"algorithm.entropy_penalty": penalty, "algorithm.decay": "none"}
        learner = Learner(configure(SMALL | given))
        rows = [learner.update() for _ in range(25)]
        ends[penalty] = -rows[-1]["train/entropy_loss"] / learner.policy.head.joints
    assert ends[True] < 0.1 < 0.3 < ends[False]
    assert rows[-1]["train/entropy_coef"] < -1


@pytest.mark.slow
def test_the_target_of_the_entropy_may_fall_during_the_run():
    """The bonus grows while the entropy is below the target, and shrinks as soon as the target has fallen below it."""
    moving = {"algorithm.entropy_target": 5.0, "algorithm.entropy_end": -5.0, "algorithm.entropy_coef": 0.01}
    learner = Learner(configure(SMALL | moving | {"total_steps": 20 * SMALL["num_envs"] * SMALL["rollout_steps"]}))
    rows = [learner.update() for _ in range(20)]
    coefs = np.array([row["train/entropy_coef"] for row in rows])
    targets = 5 - 10 * np.arange(20) / 20
    joints = learner.policy.head.joints
    above = np.array([-row["train/entropy_loss"] / joints for row in rows]) > targets
    assert above[-1]
    assert not above[0]
    changes = np.sign(np.diff(coefs))
    inside = (coefs[:-1] > ENTROPY_COEFS[0]) & (coefs[:-1] < ENTROPY_COEFS[1])
    assert (changes[inside] == np.where(above, -1, 1)[:-1][inside]).all()


def test_a_penalty_needs_a_target():
    with pytest.raises(InputError, match=r"algorithm.entropy_penalty = True: set entropy_target, above which"):
        Learner(configure(SMALL | {"algorithm.entropy_penalty": True}))


def test_an_end_of_the_target_needs_its_beginning():
    with pytest.raises(InputError, match=r"algorithm.entropy_end = 0.0: set entropy_target, from which it begins"):
        Learner(configure(SMALL | {"algorithm.entropy_end": 0.0}))
