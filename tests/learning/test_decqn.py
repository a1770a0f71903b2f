"""Decoupled Q-learning: windows within an episode, the target by hand, the values of known worlds, and its memory."""

import math

import pytest
import torch

import pgcontrol
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.decqn import DecQN, double_q, q_value
from pgcontrol.learning.replay import ReplayBuffer, Transitions, transitions, windows
from pgcontrol.machine import tensors
from pgcontrol.machine.compiler import Compilation
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import make_policy
from pgcontrol.training.learner import Learner
from tests.learning.worlds import Clockwork, spec

SMALL = {"minibatch": 32, "replay_ratio": 8.0, "warmup": 32, "target_period": 10, "capacity": 1000}
SPACE = make_policy(spec(Clockwork(1, 2, True), "utilities"), seed=0).head.choice_spec


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def collector(env: Clockwork, length: int = 8, gamma: float = 0.5, scale: bool = False, **options) -> Collector:
    policy = make_policy(spec(env, "utilities", "none", **options), seed=0)
    return Collector(env, policy, length, gamma, scale, rng())


@pytest.mark.parametrize("terminated", [True, False])
def test_windows_worked(terminated):
    # γ = ½, n = 3; the episode ends with the third step
    reward = torch.tensor([1.0, 2, 4, 8, 16]).unsqueeze(1)
    over = torch.tensor([False, False, True, False, False]).unsqueeze(1)
    discount = torch.where(over & terminated, 0.0, 0.5)
    total, weight, last = windows(reward, discount, over, 3)
    # 1 + 2/2 + 4/4; 2 + 4/2, cut by the end; 4; 8 + 16/2, cut by the rollout's end; 16
    assert total.flatten().tolist() == [3, 4, 4, 16, 16]
    # γ³, γ², γ on the state that the time limit left, or nothing; then γ² and γ
    assert weight.flatten().tolist() == ([0, 0, 0] if terminated else [0.125, 0.25, 0.5]) + [0.25, 0.5]
    assert last.flatten().tolist() == [2, 2, 2, 4, 4]


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_windows_against_a_loop(n):
    T, N, g = 20, 6, rng()
    reward, over = torch.randn(T, N, generator=g), torch.rand(T, N, generator=g) < 0.2
    discount = torch.where(over & (torch.rand(T, N, generator=g) < 0.5), 0.0, 0.9)
    total, weight, last = windows(reward, discount, over, n)
    for i in range(N):
        for t in range(T):
            expected, carry, end = 0.0, 1.0, t
            for u in range(t, min(t + n, T)):
                expected, carry, end = expected + carry * float(reward[u, i]), carry * float(discount[u, i]), u
                if over[u, i]:
                    break
            assert float(total[t, i]) == pytest.approx(expected, abs=1e-5)
            assert float(weight[t, i]) == pytest.approx(carry, abs=1e-6)
            assert int(last[t, i]) == end


@pytest.mark.parametrize("terminates", [True, False])
def test_no_transition_crosses_an_episodes_end_and_a_time_limit_bootstraps(terminates):
    c = collector(Clockwork(2, period=5, terminates=terminates))
    episodes = set()
    for _ in range(4):
        rows = transitions(c.collect()[0], 3)
        (episode, clock), (episode_after, clock_after) = rows.obs.unbind(1), rows.after.unbind(1)
        assert torch.equal(episode, episode_after)  # clock 5, the true final observation, is where episodes end
        steps = clock_after - clock
        assert ((steps >= 1) & (steps <= 3)).all()
        ended = (clock_after == 5) & terminates
        assert torch.equal(rows.discount, torch.where(ended, 0.0, 0.5**steps))
        assert torch.equal(rows.reward, 2 * (1 - 0.5**steps))  # 1 + ½ + ¼ …
        # in a rollout of 8 only its own last two steps and an episode's look less far ahead
        short = (steps < 3) & (clock_after < 5)
        assert int(short.sum()) <= 2 * 2
        episodes |= set(episode.tolist())
    assert episodes == {1, 2, 3, 4, 5, 6, 7}


def test_rewards_are_kept_unscaled_and_what_is_not_finite_not_at_all():
    c = collector(Clockwork(2, period=50, terminates=False, bad_at=4), scale=True)
    with pytest.warns(UserWarning, match="infinite or NaN"):
        rollout, _ = c.collect()
    rows = transitions(rollout, 3)
    assert not torch.equal(rollout.reward, torch.ones(8, 2))
    assert rows.reward.tolist() == pytest.approx((2 * (1 - rows.discount)).tolist(), rel=1e-5)
    # 16 rows, less the bad one of the second environment and the two whose windows it ends
    assert len(rows.reward) == 13


def numbered(first: int, count: int) -> Transitions:
    number = torch.arange(first, first + count)
    obs = number.float().unsqueeze(1).repeat(1, 2)
    return Transitions(obs, number.unsqueeze(1).repeat(1, 2), number.float(), number.float(), obs + 0.5)


def test_the_replay_holds_the_newest_in_whole_rows():
    replay = ReplayBuffer(10, 2, SPACE)
    for first in (0, 4, 8):
        replay.add(numbered(first, 4))
    drawn = replay.sample(5000, rng())
    assert len(replay) == 10
    counts = torch.bincount(drawn.reward.long(), minlength=12)
    assert counts[:2].tolist() == [0, 0]
    # 500 each; binomial deviations are 21, and five of them leave a false alarm in 10^5
    assert (counts[2:] - 500).abs().max() < 107
    assert torch.equal(drawn.obs[:, 0], drawn.reward)
    assert torch.equal(drawn.choice[:, 1], drawn.reward.long())
    assert torch.equal(drawn.after, drawn.obs + 0.5)


def test_the_replay_continues_from_its_state():
    replay, again = ReplayBuffer(10, 2, SPACE), ReplayBuffer(10, 2, SPACE)
    replay.add(numbered(0, 7))
    again.load_state({name: tensor.clone() for name, tensor in replay.state().items()})
    for memory in (replay, again):
        memory.add(numbered(7, 5))
    assert all(torch.equal(a, b) for a, b in zip(replay.sample(50, rng()), again.sample(50, rng()), strict=True))
    with pytest.raises(ValueError, match=r"replay.obs has shape \(10, 2\)"):
        ReplayBuffer(10, 3, SPACE).load_state(replay.state())


def test_double_q_worked():
    # two joints, three bins: the online network chooses 2 and 0, the target network returns 10 and −4: their mean
    online = torch.tensor([[[0.0, 1, 2], [5, 4, 3]]])
    target = torch.tensor([[[90.0, 90, 10], [-4, 90, 90]]])
    assert double_q(online, target).tolist() == [3.0]
    assert q_value(online, torch.tensor([[1, 2]])).tolist() == [2.0]


def test_the_loss_worked(monkeypatch):
    policy = make_policy(spec(Clockwork(1, 2, True), "utilities", "none"), seed=0)
    rule = DecQN(policy, configure({"env": "Hopper-v5", "algorithm": "decqn"}).algorithm.options)
    one, zero = torch.ones(1, 2), torch.zeros(1, 2)
    said = {  # by weights and observation
        ("online", 0.0): torch.tensor([[[0.0, 1, 2], [5, 4, 3]]]),
        ("online", 1.0): torch.tensor([[[0.0, 9, 0], [0, 0, 9]]]),
        ("target", 1.0): torch.tensor([[[7.0, 1, 7], [7, 7, 3]]]),
    }
    monkeypatch.setattr(policy, "distribution", lambda weights, obs: said[weights, float(obs[0, 0])])
    batch = Transitions(zero, torch.tensor([[2, 1]]), torch.tensor([0.5]), torch.tensor([0.25]), one)
    loss, metrics = rule.loss("online", batch, "target")  # pyright: ignore[reportArgumentType]
    # Q = (2 + 4)/2 = 3; target = ½ + ¼ (1 + 3)/2 = 1; Huber's loss of an error of 2 is 2 − ½
    assert (float(metrics["q_value"]), float(metrics["td_error"]), float(loss)) == (3.0, 2.0, 1.5)


@pytest.mark.parametrize(("period", "terminates", "expected"), [(3, False, 2.0), (1, True, 1.0)])
def test_a_reward_of_1_for_ever_is_worth_its_geometric_sum(period, terminates, expected):
    """1/(1 − γ) where only a time limit ends episodes, γ = ½; and 1 where every step is the last."""
    env = Clockwork(4, period, terminates, blind=True)
    c = collector(env, length=8)
    options = configure(
        {"env": "Hopper-v5", "algorithm": "decqn", "algorithm.learning_rate": 1e-2}
        | {f"algorithm.{k}": v for k, v in SMALL.items()}
    ).algorithm.options
    rule, nothing = DecQN(c.policy, options), torch.zeros(8, 4)
    row = {}
    for _ in range(30):
        row = rule.update(c.collect()[0], Estimate(nothing, nothing), 0.0, rng())
    assert row["train/q_value"] == pytest.approx(expected, abs=0.02)


def small(**settings):
    common = {f"algorithm.{name}": value for name, value in SMALL.items()} | {"algorithm": "decqn", "threads": 1}
    sizes = {"env": "InvertedPendulum-v5", "num_envs": 4, "rollout_steps": 16, "eval_every": 0, "video": False}
    return configure(common | sizes | settings)


def test_a_run_is_played_and_resumed_like_any_other(tmp_path):
    settings = {"checkpoint_every": 256, "total_steps": 1024}
    straight = pgcontrol.train(small(run_dir=str(tmp_path / "a"), **settings), quiet=True)
    pgcontrol.train(small(run_dir=str(tmp_path / "b"), **settings | {"total_steps": 512}), quiet=True)
    resumed = pgcontrol.resume(tmp_path / "b", total_steps=1024, quiet=True)
    assert torch.equal(straight.policy().theta, resumed.policy().theta)
    before, after = (checkpoint.latest(run.path) for run in (straight, resumed))
    assert (before / tensors.MEMORY).read_bytes() == (after / checkpoint.MEMORY).read_bytes()
    action = straight.policy().predict(torch.randn(50, 4, generator=rng()).numpy())
    assert set(action.flatten().tolist()) <= {-3.0, 0.0, 3.0}


def test_only_the_newest_checkpoint_keeps_the_replay_and_the_others_say_so(tmp_path):
    run = pgcontrol.train(small(run_dir=str(tmp_path / "r"), checkpoint_every=256, total_steps=512), quiet=True)
    first, last = checkpoint.find(run.path)
    assert not (first / tensors.MEMORY).exists()
    assert (last / tensors.MEMORY).exists()
    assert pgcontrol.load(first).theta.isfinite().all()
    with pytest.raises(InputError, match=r"step_000000256 can be played but not resumed: memory.safetensors is miss"):
        Learner(small()).load(first)
    (last / tensors.MEMORY).write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"memory\.safetensors is not what was written: its checksum differs"):
        Learner(small()).load(last)


@pytest.mark.slow
def test_compiled_and_eager_agree():
    nothing, results = torch.zeros(8, 4), []
    for compiled in (False, True):
        c = collector(Clockwork(4, period=5, terminates=True))
        rule = DecQN(c.policy, small().algorithm.options, Compilation(compiled))
        rows = [rule.update(c.collect()[0], Estimate(nothing, nothing), 0.0, rng(i)) for i in range(6)]
        results.append((c.policy.theta, rows[-1]["train/td_error"]))
    assert torch.allclose(results[0][0], results[1][0], rtol=1e-3, atol=1e-4)
    assert math.isclose(results[0][1], results[1][1], rel_tol=1e-3)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"algorithm.capacity": 10}, "algorithm.capacity = 10: must be at least warmup = 32"),
        ({"num_envs": 100}, "algorithm.capacity = 1000: must be at least num_envs x rollout_steps = 1600"),
        ({"algorithm.replay_ratio": 0.1}, "algorithm.replay_ratio = 0.1: with .* = 64 it must be at least 0.5"),
        ({"critic": "mse"}, "critic = 'mse': algorithm 'decqn' uses no critic"),
        ({"algorithm.gae_lambda": 0.9}, "unknown setting 'algorithm.gae_lambda' of algorithm 'decqn'"),
    ],
)
def test_what_cannot_work_is_refused(settings, line):
    with pytest.raises(InputError, match=line):
        small(**settings)
