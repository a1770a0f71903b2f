"""GAE against a calculation by hand, and its two limits."""

import torch

from pgcontrol.learning.advantages import GAE, Trajectories, gae


def trajectories(reward, value, next_value, discount, terminated, truncated) -> Trajectories:
    columns = (torch.tensor(x, dtype=torch.float32).unsqueeze(1) for x in (reward, value, next_value, discount))
    flags = (torch.tensor(x, dtype=torch.bool).unsqueeze(1) for x in (terminated, truncated))
    return Trajectories(*columns, *flags)


def test_worked_example_with_termination():
    # γ = 0.5, λ = 0.5; the second step terminates, so its discount is 0 and V of the final state is not used
    t = trajectories([1, 2, 3], [10, 20, 30], [20, 99, 40], [0.5, 0, 0.5], [0, 1, 0], [0, 0, 0])
    # δ0 = 1 + 0.5·20 − 10 = 1;  δ1 = 2 + 0 − 20 = −18;  δ2 = 3 + 0.5·40 − 30 = −7
    # A2 = −7;  A1 = −18 + 0.5·0·A2 = −18;  A0 = 1 + 0.5·0.5·(−18) = −3.5
    assert gae(t, 0.5).flatten().tolist() == [-3.5, -18.0, -7.0]


def test_worked_example_with_time_limit():
    # the same, but the second step is cut off by the time limit at a state worth 8
    t = trajectories([1, 2, 3], [10, 20, 30], [20, 8, 40], [0.5, 0.5, 0.5], [0, 0, 0], [0, 1, 0])
    # δ1 = 2 + 0.5·8 − 20 = −14, and nothing of the next episode's A2 flows back
    # A0 = 1 + 0.25·(−14) = −2.5
    assert gae(t, 0.5).flatten().tolist() == [-2.5, -14.0, -7.0]


def test_target_is_advantage_plus_value():
    t = trajectories([1, 2], [3, 4], [4, 5], [0.9, 0.9], [0, 0], [0, 0])
    advantage, target = GAE(GAE.Options())(t)
    assert torch.equal(target, advantage + t.value)


def random_trajectories(T=50, N=4) -> Trajectories:
    g = torch.Generator().manual_seed(0)
    reward, value, final = torch.randn(3, T, N, generator=g)
    terminated, truncated = (torch.rand(2, T, N, generator=g) < 0.1).unbind(0)
    next_value = torch.cat([value[1:], final[:1]])
    next_value = torch.where(terminated | truncated, final, next_value)
    return Trajectories(reward, value, next_value, 0.9 * (~terminated).float(), terminated, truncated)


def test_lambda_zero_is_the_td_error():
    t = random_trajectories()
    assert torch.allclose(gae(t, 0.0), t.reward + t.discount * t.next_value - t.value)


def test_lambda_one_is_the_monte_carlo_return_minus_value():
    t = random_trajectories()
    T, N = t.reward.shape
    expected = torch.empty(T, N)
    for n in range(N):
        for start in range(T):  # the sum written out, step by step, until the episode or the rollout ends
            total, weight, k = 0.0, 1.0, start
            while True:
                total += weight * float(t.reward[k, n])
                weight *= float(t.discount[k, n])
                if t.terminated[k, n] or t.truncated[k, n] or k == T - 1:
                    break
                k += 1
            expected[start, n] = total + weight * float(t.next_value[k, n]) - float(t.value[start, n])
    assert torch.allclose(gae(t, 1.0), expected, atol=1e-4)
