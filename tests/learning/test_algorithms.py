"""Every row of the table: its settings are checked, and it learns, with every head."""

import math

import pytest
import torch

from pgcontrol.heads.utilities import Utilities
from pgcontrol.learning.advantages import GAE, Estimate, GroupRelative
from pgcontrol.learning.algorithms import TABLE, Algorithm
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.score import Score
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import Config, configure
from pgcontrol.runs.load import make_policy
from pgcontrol.theory.worlds import OneStep
from pgcontrol.training.driver import driver
from pgcontrol.training.learner import Learner
from tests.learning.worlds import spec

ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
HEADS = [h for h in ("gaussian", "binned", "token") if h in catalog.heads()]
PAIRS = [(row, head) for row in TABLE for head in row.heads(catalog.heads()) if head in (*HEADS, row.head)]


def pairs(heads=HEADS, rows=tuple(row.name for row in TABLE)):
    """Every algorithm with every head; those that are not named here are slow."""

    def marks(row, head):
        return [] if row.name in rows and head in (*heads, row.head) else [pytest.mark.slow]

    return pytest.mark.parametrize(
        ("row", "head"),
        [pytest.param(row, head, id=f"{row.name}-{head}", marks=marks(row, head)) for row, head in PAIRS],
    )


QUICK = {
    "algorithm.learning_rate": 1e-2,
    "algorithm.critic_epochs": 2,
    "algorithm.group_size": 8,
    "algorithm.warmup": 256,
    "algorithm.target_period": 10,
    "algorithm.replay_ratio": 4,
}


def quick(row) -> dict:
    """Steps that are large enough for a short budget, if the row has such settings."""
    names = {f"algorithm.{name}" for name in row.Options.__dataclass_fields__}
    return {key: value for key, value in QUICK.items() if key in names}


@pairs(heads=["gaussian", "binned"])
def test_it_improves_a_one_step_task(row, head):
    """Reward 1 − |a − x/2|²; at first the policy knows nothing of x, and its spread costs as much as its ignorance."""
    torch.manual_seed(0)
    sizes = {"num_envs": 64, "rollout_steps": 4}
    config = configure({"env": "Hopper-v5", "algorithm": row.name, "head": head} | sizes | quick(row))
    options = config.algorithm.options
    env = OneStep(64)
    policy = make_policy(spec(env, head, config.critic.name), seed=0)
    collector = Collector(
        env, policy, 4, 0.99, False, torch.Generator().manual_seed(0), row.sampling(options, env.num_envs)
    )
    estimator, rule, rng = row.estimator(options), row.rule(policy, options), torch.Generator().manual_seed(0)
    rewards = []
    for _ in range(20):  # by then every pair has gained at least 0.11
        rollout, _ = collector.collect()
        rewards.append(float(rollout.reward.mean()))
        rule.update(rollout, estimator(rollout.trajectories()), 0.0, rng)
        policy.normaliser.update(rollout.raw_obs.flatten(0, 1))
    # the mean of 5 rollouts of 256 rewards has a standard error below 0.02
    assert sum(rewards[-5:]) / 5 > sum(rewards[:2]) / 2 + 0.08


@pairs(heads=["gaussian"], rows=["ppo"])
def test_it_improves_inverted_pendulum(row, head, tmp_path):
    config = configure(
        {"env": "InvertedPendulum-v5", "algorithm": row.name, "head": head, "total_steps": 8192, "threads": 1}
        | {"num_envs": 8, "rollout_steps": 32, "video": False, "eval_every": 0, "compile": "off"}
        | quick(row)
        | ({"algorithm.minibatch": 64} if "minibatch" in row.Options.__dataclass_fields__ else {})
    )
    learner = Learner(config)
    driven = driver(learner)
    # the first policy's episodes; of asynchronous workers the first report comes after many updates
    first = [episode.length for episode in learner.collector.collect()[1]]
    longest, wanted = 0.0, 2 * sum(first) / len(first)
    try:
        # the highest mean over 100 episodes, because a naive policy gradient can lose again what it learned; once it
        # is reached, the rest of the budget cannot change the answer
        while longest <= wanted and learner.steps < config.total_steps:
            longest = max(longest, driven.update().get("rollout/ep_len_mean", 0.0))
    finally:
        driven.close()
    assert longest > wanted


def test_a_head_of_ones_own_that_has_utilities_is_trained_by_decqn():
    class Mine(Utilities):
        name = "mine"

    assert {row.name for row in TABLE if "mine" in row.heads({"mine": Mine})} >= {"decqn", "ppo"}
    assert next(row for row in TABLE if row.name == "decqn").heads(catalog.heads()) == ["utilities"]


@pytest.mark.parametrize("parts", [("gae", Score), (GAE(None), Score), (Score, GAE), (GAE, "score")])
def test_a_row_is_made_of_classes(parts):
    with pytest.raises(TypeError, match=r"algorithm 'mine': (estimator|rule) = .*: must be a subclass of"):
        Algorithm("mine", "a row of the wrong things", *parts)


@ROWS
def test_its_recommendations_are_valid_and_win_over_a_tasks(row):
    head = "binned" if "binned" in row.heads(catalog.heads()) else row.heads(catalog.heads())[0]
    config = configure({"env": "Hopper-v5", "algorithm": row.name, "head": head})
    for key, value in row.recommended.items():
        part, _, name = key.rpartition(".")
        assert getattr(getattr(config, part).options if part else config, name) == value
    assert config.critic.name == row.critic
    if "algorithm.learning_rate" in row.recommended:
        said = configure({"env": "Hopper-v5", "algorithm": row.name, "algorithm.learning_rate": 0.5})
        assert said.algorithm.options.learning_rate == 0.5


def test_a_critic_that_is_not_used_is_refused():
    line = "critic = 'mse': algorithm 'reinforce' uses no critic; leave the setting out"
    with pytest.raises(InputError, match=line):
        configure({"env": "Hopper-v5", "algorithm": "reinforce", "critic": "mse"})
    assert configure({"env": "Hopper-v5", "algorithm": "reinforce", "critic": "none"}).critic.name == "none"
    assert configure({"env": "Hopper-v5", "algorithm": "gae-pg", "critic": "none"}).critic.name == "none"


def test_a_row_that_trains_one_head_alone_takes_it_and_refuses_others():
    assert configure({"env": "Hopper-v5", "algorithm": "decqn"}).head.name == "utilities"
    with pytest.raises(InputError, match="head = 'binned': 'decqn' trains only 'utilities'; leave the"):
        configure({"env": "Hopper-v5", "algorithm": "decqn", "head": "binned"})
    with pytest.raises(InputError, match="head = 'binned': 'reppo' trains only 'gaussian' or 'gaussian-state' or"):
        configure({"env": "Hopper-v5", "algorithm": "reppo", "head": "binned"})
    assert configure({"env": "Hopper-v5", "algorithm": "ppo", "head": "utilities"}).head.name == "utilities"


def test_without_a_critic_no_weights_are_spent_on_one():
    sizes = {"num_envs": 4, "rollout_steps": 32, "threads": 1, "compile": "off"}
    with_critic, without = (
        Learner(configure({"env": "Hopper-v5", "algorithm": "gae-pg", "critic": critic} | sizes))
        for critic in ("mse", "none")
    )
    names = [name for name, _ in without.policy.named_parameters()]
    assert not any("critic" in name for name in names)
    assert without.policy.theta.numel() < with_critic.policy.theta.numel()
    row = without.update()  # ... and nothing minds
    assert row["train/value_loss"] == 0


def little(row) -> Config:
    """Updates that end immediately."""
    settings = {
        "env": "Hopper-v5",
        "algorithm": row.name,
        "num_envs": 4,
        "rollout_steps": 32,
        "threads": 1,
        "compile": "off",
    }
    settings |= {"algorithm.group_size": 2} if row.sampling.copies else {}
    settings |= {"algorithm.minibatch": 64} if "minibatch" in row.Options.__dataclass_fields__ else {}
    return configure(settings | ({"algorithm.warmup": 64} if "algorithm.warmup" in quick(row) else {}))


@ROWS
def test_the_time_that_is_logged_is_that_of_all_updates_so_far(row):
    learner = Learner(little(row))
    driven = driver(learner)
    try:
        for _ in range(2):
            before = learner.seconds
            assert before < driven.update()["time/time_elapsed"] == learner.seconds
    finally:
        driven.close()


RESUMABLE = [row for row in TABLE if not row.sampling.asynchronous]


@pytest.mark.parametrize("row", RESUMABLE, ids=lambda row: row.name)
def test_masked_rows_do_not_change_an_update(row):
    """The last row of some environments is bad, and a time limit ended the episode before it."""
    config = little(row)
    learner = Learner(config)
    rollout = learner.collect()
    rollout.bad[-1, ::2] = rollout.terminated[-2, ::2] = True
    rollout.discount[-2:, ::2] = 0
    estimate = rollout.estimate(learner.estimator)
    head, params = learner.policy.head, rollout.params[-1, ::2]
    weights = []
    for seed in (0, 1):  # other choices in these rows
        choice = head.sample(params, torch.Generator().manual_seed(seed))
        rollout.choice[-1, ::2], rollout.log_prob[-1, ::2] = choice, head.log_prob(params, choice)
        again = Learner(config)
        again.rule.update(rollout, estimate, 0.0, torch.Generator().manual_seed(0))
        weights.append(again.policy.theta)
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], learner.policy.theta)


@pytest.mark.parametrize("row", RESUMABLE, ids=lambda row: row.name)
def test_a_rollout_without_reward_is_no_divergence(row):
    """As at the beginning of a task whose reward is rare; the explained variance of equal targets is not defined."""
    learner = Learner(little(row))
    rollout = learner.collect()
    rollout.reward.zero_()
    nothing = torch.zeros_like(rollout.reward)
    metrics = learner.rule.update(rollout, Estimate(nothing, nothing), 0.0, torch.Generator().manual_seed(0))
    assert math.isnan(metrics.get("train/explained_variance", math.nan))


@pytest.mark.parametrize("row", RESUMABLE, ids=lambda row: row.name)
def test_n_plus_m_is_n_resume_m_to_the_bit(row, tmp_path):
    config = little(row)
    straight = Learner(config)
    for _ in range(4):
        straight.update()
    first = Learner(config)
    for _ in range(2):
        first.update()
    first.save(tmp_path / "step_2")
    second = Learner(config)
    second.load(tmp_path / "step_2")
    for _ in range(2):
        second.update()
    assert torch.equal(straight.policy.theta, second.policy.theta)
    for name, tensor in straight.rule.state().items():
        assert torch.equal(tensor, second.rule.state()[name]), name
    assert straight.episodes == second.episodes


def test_an_estimator_without_the_option_that_it_reads_is_refused():
    with pytest.raises(TypeError, match="GroupRelative needs the option 'group_size', which another part must define"):
        Algorithm("mine", "", GroupRelative, ClippedSurrogate)
