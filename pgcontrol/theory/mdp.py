"""A finite MDP that is small enough to enumerate every trajectory, so that ∇J and all expectations are exact."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Trajectories


class Mdp(NamedTuple):
    """S states, A choices, H steps, undiscounted; every path terminates after H steps.

    Attributes:
        start: P(s_0) [S].
        move: P(s' | s, a) [S, A, S].
        reward: r(s, a) [S, A].
        horizon: H.
    """

    start: Tensor
    move: Tensor
    reward: Tensor
    horizon: int


class Paths(NamedTuple):
    """M paths, all possible ones or a sample; an expectation is a sum over columns weighted by `weight`.

    Attributes:
        state: [H, M] int64.
        choice: [H, M] int64.
        weight: [M], with sum 1.
    """

    state: Tensor
    choice: Tensor
    weight: Tensor


def small(seed: int = 0) -> Mdp:
    """4 states, 3 choices, 4 steps; rewards in (0, 1), all positive."""
    g = torch.Generator().manual_seed(seed)
    start, move = torch.rand(4, generator=g).double(), torch.rand(4, 3, 4, generator=g).double() ** 3
    return Mdp(start / start.sum(), move / move.sum(-1, keepdim=True), torch.rand(4, 3, generator=g).double(), 4)


def some_policy(mdp: Mdp, seed: int = 1) -> Tensor:
    """Logits θ [S, A] of a policy that is neither uniform nor deterministic: π(a|s) = softmax(θ_s)_a."""
    return torch.randn(mdp.reward.shape, generator=torch.Generator().manual_seed(seed)).double()


def every_path(mdp: Mdp, theta: Tensor) -> Paths:
    """All (S·A)^H paths with their probabilities under θ; `weight` is differentiable in θ.

    log P(τ|θ) = log P(s_0) + Σ_t log P(s_{t+1} | s_t, a_t) + Σ_t log π(a_t | s_t).
    """
    S, A = mdp.reward.shape
    pairs = torch.cartesian_prod(*[torch.arange(S * A)] * mdp.horizon).reshape(-1, mdp.horizon).T
    state, choice = pairs // A, pairs % A
    dynamics = mdp.start[state[0]].log() + mdp.move[state[:-1], choice[:-1], state[1:]].log().sum(0)
    return Paths(state, choice, (dynamics + theta.log_softmax(-1)[state, choice].sum(0)).exp())


def sample(mdp: Mdp, theta: Tensor, count: int, rng: Generator, start: Tensor | None = None) -> Paths:
    """`count` independent paths, each with weight 1/count; from the states `start` [count] if given."""
    states, choices = [], []
    state = mdp.start.expand(count, -1).multinomial(1, generator=rng).squeeze(1) if start is None else start
    for _ in range(mdp.horizon):
        choice = theta.softmax(-1)[state].multinomial(1, generator=rng).squeeze(1)
        states.append(state)
        choices.append(choice)
        state = mdp.move[state, choice].multinomial(1, generator=rng).squeeze(1)
    return Paths(torch.stack(states), torch.stack(choices), torch.full((count,), 1 / count, dtype=torch.float64))


def total_reward(mdp: Mdp, paths: Paths) -> Tensor:
    """G(τ) [M]."""
    return mdp.reward[paths.state, paths.choice].sum(0)


def exact_gradient(mdp: Mdp, theta: Tensor) -> Tensor:
    """∇J [S·A] of J(θ) = Σ_τ P(τ|θ) G(τ): the differentiated sum over every path."""
    leaf = theta.clone().requires_grad_()
    paths = every_path(mdp, leaf)
    (gradient,) = torch.autograd.grad((paths.weight * total_reward(mdp, paths)).sum(), leaf)
    return gradient.flatten()


def exact_value(mdp: Mdp, theta: Tensor) -> Tensor:
    """V_t(s) [H + 1, S] by backward induction; 0 after the last step."""
    policy, value = theta.softmax(-1), [torch.zeros(len(mdp.start), dtype=torch.float64)]
    for _ in range(mdp.horizon):
        value.append((policy * (mdp.reward + mdp.move @ value[-1])).sum(-1))
    return torch.stack(value[::-1])


def trajectories(mdp: Mdp, paths: Paths, value: Tensor | None = None) -> Trajectories:
    """Paths in the form that advantage estimators take, [H, M], with the critic V_t(s) [H + 1, S] (None: 0)."""
    reward = mdp.reward[paths.state, paths.choice]
    here = torch.zeros_like(reward) if value is None else along(value, paths)
    terminated = torch.zeros_like(reward, dtype=torch.bool)
    terminated[-1] = True
    return Trajectories(
        reward=reward,
        value=here,
        next_value=torch.cat([here[1:], torch.zeros_like(here[:1])]),
        discount=(~terminated).double(),
        terminated=terminated,
        truncated=torch.zeros_like(terminated),
    )


def along(value: Tensor, paths: Paths) -> Tensor:
    """V_t(s_t) [H, M] from a table [H + 1, S]."""
    return value[torch.arange(len(paths.state)).unsqueeze(1), paths.state]


def score(theta: Tensor, state: Tensor, choice: Tensor) -> Tensor:
    """∇ log π(a|s) = e_s ⊗ (e_a − π_s), [..., S·A], for states and choices [...]."""
    S, A = theta.shape
    inner = torch.eye(A, dtype=theta.dtype)[choice] - theta.softmax(-1)[state]
    return (torch.eye(S, dtype=theta.dtype)[state].unsqueeze(-1) * inner.unsqueeze(-2)).flatten(-2)


def estimates(theta: Tensor, paths: Paths, advantage: Tensor) -> Tensor:
    """Each path's estimate of ∇J, Σ_t A_t ∇log π(a_t|s_t): [M, S·A] for advantages [H, M]."""
    return (advantage.unsqueeze(-1) * score(theta, paths.state, paths.choice)).sum(0)


def mean(paths: Paths, x: Tensor) -> Tensor:
    """E[x] over the paths: [M, ...] -> [...]."""
    return torch.tensordot(paths.weight, x, 1)


def variance(paths: Paths, x: Tensor) -> float:
    """Total variance E‖x − E x‖² over the paths, for x [M, D]."""
    return float(mean(paths, ((x - mean(paths, x)) ** 2).sum(-1)))
