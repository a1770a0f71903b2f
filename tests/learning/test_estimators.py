"""Every estimator against closed forms on Clockwork (reward 1 for ever), and none across an episode's border."""

import pytest
import torch

from pgcontrol.laws import estimators as laws
from pgcontrol.laws.base import laws_of
from pgcontrol.learning.advantages import (
    GAE,
    TD,
    Baseline,
    GroupRelative,
    NoAdvantage,
    ReturnToGo,
    Trajectories,
    WholeReturn,
    comparisons,
    group_relative,
)
from pgcontrol.learning.algorithms import TABLE
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.rollout import Rollout
from pgcontrol.runs.load import make_policy
from tests.laws.asking import ask
from tests.learning.worlds import Clockwork, spec

# γ = 0.5, period 3, 7 steps: two whole episodes and the first step of a third
GO = [1.75, 1.5, 1.0, 1.75, 1.5, 1.0, 1.0]
WHOLE = [1.75] * 6 + [1.0]


def rollout(terminates: bool, critic: str = "mse") -> Rollout:
    env = Clockwork(1, period=3, terminates=terminates)
    policy = make_policy(spec(env, critic=critic), seed=0)
    return Collector(env, policy, 7, 0.5, False, torch.Generator()).collect()[0]


@pytest.mark.parametrize("terminates", [True, False])
def test_whole_return(terminates):
    advantage, target = WholeReturn(None)(rollout(terminates).trajectories())
    assert advantage.flatten().tolist() == WHOLE
    assert target.flatten().tolist() == GO


@pytest.mark.parametrize("terminates", [True, False])
def test_return_to_go_counts_what_lies_in_the_rollout_of_the_episode_and_no_more(terminates):
    advantage, target = ReturnToGo(None)(rollout(terminates).trajectories())
    assert advantage.flatten().tolist() == target.flatten().tolist() == GO


@pytest.mark.parametrize("terminates", [True, False])
def test_baseline_subtracts_v_and_never_bootstraps(terminates):
    seen = rollout(terminates).trajectories()
    advantage, target = Baseline(None)(seen)
    assert target.flatten().tolist() == GO
    assert torch.equal(advantage, target - seen.value)


@pytest.mark.parametrize("terminates", [True, False])
def test_td_bootstraps_on_the_true_next_state_unless_it_is_terminal(terminates):
    seen = rollout(terminates).trajectories()
    advantage, target = TD(None)(seen)
    last = torch.tensor([2, 5])
    expected = 1 + 0.5 * seen.next_value
    if terminates:
        expected[last] = 1.0
    assert torch.allclose(target, expected)
    assert torch.allclose(advantage, expected - seen.value)


@pytest.mark.parametrize("row", [row for row in TABLE if row.estimator is not NoAdvantage], ids=lambda row: row.name)
@pytest.mark.parametrize("law", laws_of(laws))
def test_law(law, row):
    ask(laws, law, laws.make(row.estimator, [row]))


def test_an_estimator_that_no_row_uses_has_its_own_options():
    assert laws.make(GAE).options.gae_lambda == 0.95
    assert laws.make(GroupRelative).options.group_size == laws.GROUP


def group_of(reward: list[list[float]], over: list[list[int]]) -> Trajectories:
    """T x 2 trajectories of a group of two, γ = 1, ends are terminations."""
    r, done = torch.tensor(reward), torch.tensor(over, dtype=torch.bool)
    nothing = torch.zeros_like(r)
    return Trajectories(r, nothing, nothing, (~done).float(), done, torch.zeros_like(done))


def test_group_relative_worked():
    # returns 3 and 1: mean 2, deviation √2 (with G − 1 = 1): ±1/√2
    seen = group_of([[1, 1], [2, 0]], [[0, 0], [0, 0]])
    a = 2**-0.5
    assert torch.allclose(group_relative(seen, 2), torch.tensor([[a, -a], [a, -a]]))


def test_group_relative_waits_and_compares_again():
    # the second member ends after one step and waits; both have ended after two; then a second comparison
    seen = group_of([[1, 1], [2, 0], [0, 5], [0, 0]], [[0, 1], [1, 0], [0, 0], [0, 0]])
    comparison, played = comparisons(seen.terminated, 2)
    assert comparison.flatten().tolist() == [0, 0, 1, 1]
    assert played.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    a = 2**-0.5
    # first comparison: 3 against 1; second: 0 against 5
    expected = torch.tensor([[a, -a], [a, 0], [-a, a], [-a, a]])
    assert torch.allclose(group_relative(seen, 2), expected)


def test_a_group_of_equal_returns_teaches_nothing():
    seen = group_of([[1, 0], [0, 1]], [[0, 0], [0, 0]])
    assert not group_relative(seen, 2).any()


def test_without_a_critic_every_value_is_zero():
    seen = rollout(False, critic="none").trajectories()
    assert not seen.value.any()
    assert not seen.next_value.any()
