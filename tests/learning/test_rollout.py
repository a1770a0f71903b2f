"""The collector: nothing lost at boundaries, time limits bootstrapped, chunks accounted for."""

import itertools

import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.learning.advantages import GAE, Estimate
from pgcontrol.learning.collector import Collector
from pgcontrol.machine.compiler import Compilation
from pgcontrol.moments import RewardScale
from pgcontrol.runs import catalog
from pgcontrol.runs.load import make_policy
from tests.learning.worlds import Clockwork, spec


def collector(env, length=7, gamma=0.5, scale=False, head="gaussian") -> Collector:
    policy = make_policy(spec(env, head), seed=0)
    return Collector(env, policy, length, gamma, scale, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", sorted(catalog.heads()))
def test_shapes_and_consistency(head):
    env = Clockwork(3, period=4, terminates=False)
    c = collector(env, head=head)
    rollout, _ = c.collect()
    spec_ = c.policy.head.choice_spec
    assert rollout.choice.shape == (7, 3, *spec_.shape)
    assert rollout.choice.dtype == spec_.dtype
    assert rollout.steps == 21
    # the stored log-probability is that of the stored choice under the stored params
    log_prob = c.policy.head.log_prob(rollout.params.flatten(0, 1), rollout.choice.flatten(0, 1))
    assert torch.equal(log_prob, rollout.log_prob.flatten())
    # and what was played is what the choice decodes to
    played = torch.stack(env.actions)
    assert torch.equal(played, c.policy.head.decode(rollout.choice.flatten(0, 1)).view(7, 3, 2))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["gaussian", "binned"])
def test_compiled_acting_plays_the_same(head):
    """Only the rounding of choices differs: changes of weights and moments between rollouts have an effect."""
    rollouts = []
    for compiled in (False, True):
        env = Clockwork(3, period=4, terminates=False)
        policy = make_policy(spec(env, head), seed=0)
        c = Collector(env, policy, 7, 0.5, False, torch.Generator().manual_seed(0), compilation=Compilation(compiled))
        c.collect()
        policy.theta *= 3
        policy.normaliser.update(torch.randn(50, env.obs_size, generator=torch.Generator().manual_seed(1)))
        rollouts.append(c.collect()[0])
    eager, compiled = rollouts
    assert torch.allclose(eager.choice.double(), compiled.choice.double(), atol=1e-5)
    assert torch.allclose(eager.log_prob, compiled.log_prob, atol=1e-4)


def test_noise_comes_for_every_choice_however_much_is_drawn_at_a_time(monkeypatch):
    c = collector(Clockwork(3, period=4, terminates=False))
    drawn, noise = [], c.policy.head.noise
    monkeypatch.setattr(c.policy.head, "noise", lambda count, rng: drawn.append(count) or noise(count, rng))
    for at_a_time in (21, 6):  # all choices of three environments, or two
        drawn.clear()
        c.collect()
        counts = [count for count in drawn if count > 1]  # of one, the collector asks how large it is
        assert sum(counts) == 7 * 3
        assert max(counts) == at_a_time
        monkeypatch.setattr("pgcontrol.learning.collector.NOISE", 3 * 2 * 2)  # numbers: two joints a choice


def test_episodes_continue_across_rollouts():
    c = collector(Clockwork(2, period=5, terminates=False), length=3)
    clocks = torch.cat([c.collect()[0].raw_obs[:, 0, 1].clone() for _ in range(4)])
    assert clocks.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_next_value_is_that_of_the_true_final_obs():
    env = Clockwork(1, period=3, terminates=False)
    c = collector(env, length=7)
    rollout, episodes = c.collect()
    with torch.no_grad():
        # episode 1 ends at clock 3, which the policy never acted on: the next row is [2, 0]
        final = c.policy.value(c.policy.normaliser(torch.tensor([[1.0, 3.0]], dtype=torch.float64)))
        after = c.policy.value(c.policy.normaliser(torch.tensor([[2.0, 0.0]], dtype=torch.float64)))
    assert rollout.next_value[2, 0] == final
    assert rollout.value[3, 0] == pytest.approx(float(after))
    assert rollout.next_value[2, 0] != rollout.value[3, 0]
    assert [(e.total, e.length) for e in episodes] == [(3.0, 3), (3.0, 3)]


@pytest.mark.parametrize(("terminates", "expected"), [(False, 0.5), (True, 0.0)])
def test_discount(terminates, expected):
    rollout, _ = collector(Clockwork(1, period=3, terminates=terminates)).collect()
    assert rollout.discount[:, 0].tolist() == [0.5, 0.5, expected, 0.5, 0.5, expected, 0.5]


def test_a_bad_environment_is_reset_and_its_row_marked_and_the_others_continue():
    env = Clockwork(3, period=50, terminates=False, bad_at=5)
    c = collector(env)
    with pytest.warns(UserWarning, match="observation or reward of environment 2 is infinite or NaN: reset"):
        rollout, episodes = c.collect()
    assert rollout.bad.nonzero().tolist() == [[4, 2]]
    assert rollout.truncated.nonzero().tolist() == [[4, 2]]
    assert rollout.raw_obs[:, 2].tolist() == [[1, t] for t in range(5)] + [[2, 0], [2, 1]]
    assert rollout.raw_obs[:, 0, 1].tolist() == list(range(7))
    assert [(e.total, e.length) for e in episodes] == [(4.0, 5)]
    for tensor in (rollout.reward, rollout.value, rollout.next_value, rollout.obs):
        assert tensor.isfinite().all()


class BadStarts(Clockwork):
    """The first `count` resets of the last environment have an infinite observation."""

    def __init__(self, count: int, number: float):
        super().__init__(3, period=5, terminates=False)
        self.count, self.number = count, number

    def reset(self, ids=None, seed=None):
        obs = super().reset(ids, seed)
        if self.count and 2 in ids.tolist():
            self.count -= 1
            obs[-1, 0] = self.number
        return obs


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -float("inf")])
def test_an_episode_that_begins_badly_is_begun_again(number):
    env = BadStarts(3, number)
    collected = collector(env)
    with pytest.warns(UserWarning, match="environment 2 is infinite or NaN at reset"):
        rollout, _ = collected.collect()
    assert rollout.raw_obs.isfinite().all()
    assert rollout.raw_obs[0].tolist() == [[1, 0], [1, 0], [4, 0]]  # the fourth begins well, and the others wait
    assert not rollout.bad.any()
    collected = collector(BadStarts(99, number))
    with (
        pytest.warns(UserWarning, match="reset again"),
        pytest.raises(FloatingPointError, match="at 10 resets in a row"),
    ):
        collected.collect()


def test_when_every_environment_is_bad_it_stops():
    with pytest.raises(FloatingPointError, match="every environment are infinite or NaN at choice 4"):
        collector(Clockwork(1, period=50, terminates=False, bad_at=5)).collect()


@pytest.mark.parametrize(("terminates", "expected"), [(False, 2.0), (True, 1.0)])
def test_reward_one_for_ever_gives_one_over_one_minus_gamma(terminates, expected):
    """γ = 0.5: V = 1/(1−γ) = 2 when only the time limit cuts episodes off; 1 when every step is the last."""
    from pgcontrol.learning.ppo import ClippedSurrogate

    env = Clockwork(8, period=1, terminates=terminates, blind=True)
    c = collector(env, length=32)
    rule = ClippedSurrogate(c.policy, ClippedSurrogate.Options(learning_rate=1e-2, minibatch=64, epochs=4))
    rng, estimator = torch.Generator().manual_seed(0), GAE(GAE.Options())
    for _ in range(30):
        rollout, _ = c.collect()
        advantage, target = estimator(rollout.trajectories())
        rule.update(rollout, Estimate(advantage, target), 0.0, rng)
        c.policy.normaliser.update(rollout.raw_obs.flatten(0, 1))
    assert c.collect()[0].value.mean() == pytest.approx(expected, abs=0.05)


def test_reward_scale_makes_the_return_have_deviation_one():
    scale, g = RewardScale(4, enabled=True), torch.Generator().manual_seed(0)
    discount, done = torch.full((5000, 4), 0.9, dtype=torch.float64), torch.zeros(5000, 4, dtype=torch.bool)
    reward = 30 * torch.randn(5000, 4, generator=g, dtype=torch.float64)
    scaled = scale(reward, discount, done)
    # the return of white noise has variance σ²/(1−γ²): 900/0.19, so the scaled reward has deviation √0.19 = 0.436
    assert float(scaled.std()) == pytest.approx(0.436, rel=0.03)


def test_chunks_sum_discounted_rewards_and_stop_at_the_end():
    env = Clockwork(2, period=5, terminates=True)
    c = collector(env, length=4)
    decode = c.policy.head.decode
    c.policy.head.decode = lambda choice: decode(choice).expand(-1, 3, -1)  # type: ignore[method-assign]
    rollout, episodes = c.collect()
    # γ = 0.5: three steps are worth 1 + ½ + ¼; the second chunk ends after two of its three, at the termination
    assert rollout.reward[:, 0].tolist() == [1.75, 1.5, 1.75, 1.5]
    assert rollout.discount[:, 0].tolist() == [0.125, 0.0, 0.125, 0.0]
    assert rollout.steps == 20
    assert [(e.total, e.length) for e in episodes] == [(5.0, 5)] * 4


def test_a_simulation_that_breaks_down_is_cut_off_reset_and_counted():
    """MuJoCo's jump to the model's defaults is not used as a transition."""
    env = pgcontrol_envs.make("HalfCheetah-v5", 3, threads=1)
    assert isinstance(env, TaskVecEnv)
    c, step, calls = collector(env), env.step, itertools.count()

    def break_down(action, active=None):
        if next(calls) == 4:
            env.physics.qvel[1, 0] = 1e12
        return step(action, active)

    env.step = break_down  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="MuJoCo in env 1: .*unstable"):
        rollout, episodes = c.collect()
    assert rollout.bad.nonzero().tolist() == rollout.truncated.nonzero().tolist() == [[4, 1]]
    assert torch.equal(rollout.raw_next[4, 1], rollout.raw_obs[4, 1])
    assert rollout.reward[4, 1] == 0
    assert [episode.length for episode in episodes] == [5]
    assert rollout.reward.abs().max() < 20


def test_when_nothing_but_breakdowns_is_collected_it_stops():
    env = pgcontrol_envs.make("HalfCheetah-v5", 2, threads=1)
    assert isinstance(env, TaskVecEnv)
    step = env.step

    def break_down(action, active=None):
        env.physics.qvel[:, 0] = 1e12
        return step(action, active)

    env.step = break_down  # type: ignore[method-assign]
    with (
        pytest.warns(UserWarning, match="unstable"),
        pytest.raises(FloatingPointError, match="the simulation broke down in every transition"),
    ):
        collector(env).collect()


def test_a_broken_transition_does_not_bias_the_advantage_of_the_one_before():
    """Its TD error is 0, so that the earlier one bootstraps from V of the state between them."""
    c = collector(Clockwork(3, period=9, terminates=False, bad_at=5), gamma=0.9)
    with pytest.warns(UserWarning, match="infinite or NaN"):
        rollout, _ = c.collect()
    assert rollout.bad.nonzero().tolist() == [[4, 2]]
    assert float(rollout.discount[4, 2]) == 1
    seen = rollout.trajectories()
    seen = seen._replace(value=torch.full_like(seen.value, 100.0), next_value=torch.full_like(seen.value, 100.0))
    seen = seen._replace(reward=torch.where(rollout.bad, 0.0, 10.0))  # V is right: 10 + 0.9 x 100 = 100
    advantage = GAE(GAE.Options())(seen).advantage
    assert advantage.abs().max() < 1e-4


class Gappy(Clockwork):
    """At call 2 of step, the observations of the first environment become NaN, until it is reset."""

    def __init__(self, num_envs):
        super().__init__(num_envs, 100, False)
        self.broken = False

    def reset(self, ids=None, seed=None):
        self.broken = False
        return super().reset(ids, seed)

    def step(self, action, active=None):
        step = super().step(action, active)
        self.broken |= self.steps == 2
        if self.broken:
            step.obs[0] = float("nan")
        return step


def test_a_breakdown_within_a_chunk_is_reported_once():
    env = Gappy(3)
    policy = make_policy(spec(env, "token", tokenizer="bins", codes=5, horizon=8), seed=0)
    c = Collector(env, policy, 2, 0.9, False, torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="environment 0 is infinite or NaN") as caught:
        rollout, _ = c.collect()
    assert len(caught) == 1
    assert rollout.bad.nonzero().tolist() == [[0, 0]]


def test_what_is_described_is_without_rows_that_wait_for_their_group():
    rollout, _ = collector(Clockwork(4, period=4, terminates=False), length=8).collect()
    everything = rollout.subsample(rollout.raw_obs)
    assert torch.equal(everything, rollout.raw_obs.flatten(0, 1))
    rollout.idle[3:, 1] = True
    assert torch.equal(rollout.subsample(rollout.raw_obs), rollout.raw_obs[~rollout.idle])
    rollout.idle[:] = True
    assert len(rollout.subsample(rollout.raw_obs)) == len(everything)
