"""Advantage estimators: pure functions of [T, N] tensors. They know no network."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pgcontrol.options import InputError, NoOptions, option


class Trajectories(NamedTuple):
    """What an estimator sees, all [T, N].

    `discount` is γ^(steps played) x (not terminated), so no estimator reads a scalar γ; `next_value` is V of the state
    that the transition truly ended in, also where the time limit cut it off.
    """

    reward: Tensor
    value: Tensor
    next_value: Tensor
    discount: Tensor
    terminated: Tensor
    truncated: Tensor


class Estimate(NamedTuple):
    """What an estimator makes of trajectories, both [T, N].

    Attributes:
        target: the return that the critic is to learn.
    """

    advantage: Tensor
    target: Tensor

    def without(self, masked: Tensor, value: Tensor) -> "Estimate":
        """Where `masked`, [T, N] bool, nothing is known: no advantage, and a critic, `value` [T, N], right as it is."""
        return Estimate(self.advantage.masked_fill(masked, 0.0), torch.where(masked, value, self.target))


class Estimator:
    """Trajectories -> Estimate."""

    Options: ClassVar[type] = NoOptions

    def __init__(self, options: Any):
        self.options = options

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """The advantage and the critic's target."""
        raise NotImplementedError

    def corrected(self, trajectories: Trajectories, drift: Tensor) -> Estimate:
        """Both under the policy of today, from trajectories of older ones; for rules that reuse rollouts.

        Args:
            trajectories: with values of today.
            drift: [T, N], how much likelier the choice is today than it was under the policy that made it.
        """
        raise NotImplementedError

    @classmethod
    def corrects(cls) -> bool:
        """Whether it defines `corrected`."""
        return cls.corrected is not Estimator.corrected


def estimated(estimator: Estimator, trajectories: Trajectories, drift: Tensor | None = None) -> Estimate:
    """What an estimator makes of trajectories, with `drift` of older policies, looked at: plug-ins bring their own.

    Raises:
        InputError: it is no Estimate of tensors [T, N] like the rewards.
        FloatingPointError: it is infinite or NaN, though the trajectories are not.
    """
    estimate = estimator(trajectories) if drift is None else estimator.corrected(trajectories, drift)
    like = trajectories.reward
    who, expected = f"estimator {type(estimator).__name__}", f"{tuple(like.shape)} {like.dtype}"
    if not (isinstance(estimate, tuple) and len(estimate) == len(Estimate._fields)):
        raise InputError(f"{who}: expected Estimate(advantage, target), got {type(estimate).__name__}")
    for name, part in zip(Estimate._fields, estimate, strict=True):
        if not isinstance(part, Tensor) or (part.shape, part.dtype) != (like.shape, like.dtype):
            came = f"{tuple(part.shape)} {part.dtype}" if isinstance(part, Tensor) else type(part).__name__
            raise InputError(f"{who}: the {name} is {came}; expected {expected}")
        if not part.isfinite().all() and all(seen.isfinite().all() for seen in trajectories):
            raise FloatingPointError(f"{who}: the {name} is infinite or NaN")
    return Estimate(*estimate)


def gae(trajectories: Trajectories, lam: float, trace: Tensor | None = None) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    δ_t = r_t + discount_t V(s_{t+1}) − V(s_t);  A_t = δ_t + λ discount_t A_{t+1}, where the sum stops at an episode's
    end: at a termination because discount is 0, at a time limit because the next row belongs to another episode, while
    δ still bootstraps on V of the true final state.

    Args:
        trajectories: [T, N] tensors.
        lam: λ in [0, 1]; 0 is the one-step TD error, 1 the Monte Carlo return minus V.
        trace: [T, N], what a step's share in the advantages of earlier ones is multiplied by; None: 1.

    Returns:
        advantage [T, N].
    """
    reward, value, next_value, discount, _, truncated = trajectories
    delta = reward + discount * next_value - value
    carry = lam * discount * ~truncated
    if trace is not None:
        carry[:-1] *= trace[1:]
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = torch.addcmul(delta[t], carry[t], running, out=advantage[t])
    return advantage


class GAE(Estimator):
    """GAE(λ), and the λ-return as the critic's target."""

    @dataclass(frozen=True)
    class Options:
        """What the estimator adds to `--algorithm.X`."""

        gae_lambda: float = option(0.95, "λ of GAE: 0 one-step TD, 1 Monte Carlo", least=0, most=1)

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """GAE and A + V."""
        advantage = gae(trajectories, self.options.gae_lambda)
        return Estimate(advantage, advantage + trajectories.value)

    def corrected(self, trajectories: Trajectories, drift: Tensor) -> Estimate:
        """V-trace with λ (Espeholt et al. 2018, eq. 1, as GePPO's code has it): the drift, at most 1, cuts traces.

        A_t = δ_t + λ discount_t c_{t+1} A_{t+1}, and V_t + c_t A_t is the target; c = min(1, drift).
        """
        trace = drift.clamp_max(1.0)
        advantage = gae(trajectories, self.options.gae_lambda, trace)
        return Estimate(advantage, trace * advantage + trajectories.value)


class NoAdvantage(Estimator):
    """0 everywhere, for rules that estimate for themselves."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """No advantage, and a critic that is right as it is."""
        return Estimate(torch.zeros_like(trajectories.value), trajectories.value)


def returns(trajectories: Trajectories) -> Tensor:
    """Discounted sum of rewards from each step to the end of its episode, or of the rollout, [T, N].

    G_t = r_t + discount_t G_{t+1}, nothing crossing an episode's border. An episode that the rollout's end or a time
    limit cuts is worth what it brought *so far*: with no value function there is nothing to bootstrap on. That biases
    the returns of the last steps before a cut, by γ^(steps left) V; a rollout of several 1/(1−γ) steps, or of whole
    episodes, keeps the share of such steps small.
    """
    nothing = torch.zeros_like(trajectories.value)
    return gae(trajectories._replace(value=nothing, next_value=nothing), 1.0)


def whole_return(trajectories: Trajectories) -> Tensor:
    """The return of the whole trajectory on every one of its steps, [T, N]; a trajectory is an episode's part in here.

    G(τ) = Σ_t γ^t r_t counted from the trajectory's first step (Williams 1992, eq. 11; Peters & Schaal 2008, eq. 6).
    For cut episodes see `returns`.
    """
    over, total = trajectories.terminated | trajectories.truncated, returns(trajectories)
    for t in range(1, len(total)):
        total[t] = torch.where(over[t - 1], total[t], total[t - 1])
    return total


class WholeReturn(Estimator):
    """G(τ) on every action: the naive policy gradient (Williams 1992)."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """`whole_return`; the target is the return from each step on."""
        return Estimate(whole_return(trajectories), returns(trajectories))


class ReturnToGo(Estimator):
    """The return from each step on: causality takes out the rewards of the past.

    (Williams 1992; Sutton & Barto 2018, eq. 13.8 without its γ^t, as is the custom: states late in an episode count as
    much as early ones.)
    """

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """`returns`, twice."""
        total = returns(trajectories)
        return Estimate(total, total)


class Baseline(Estimator):
    """The return from each step on, less V(s): REINFORCE with a baseline (Williams 1992, section 4).

    V is subtracted and never bootstrapped on, also where an episode is cut, so a wrong V costs variance and no bias
    beyond that of `returns`.
    """

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """Returns − V, and the Monte Carlo return as the critic's target."""
        total = returns(trajectories)
        return Estimate(total - trajectories.value, total)


class TD(Estimator):
    """The one-step TD error r + γV(s') − V(s) (Sutton & Barto 2018, eq. 13.12-13.14): GAE(0)."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """δ, and r + γV(s') as the critic's target."""
        advantage = gae(trajectories, 0.0)
        return Estimate(advantage, advantage + trajectories.value)


def comparisons(over: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Which comparison each step of a group belongs to, and whether it was played.

    Args:
        over: [T, N] bool, the steps that end an episode.
        size: G; environments i·G … i·G + G − 1 are a group, and begin their next comparison together once all of them
            have ended (`sampling.Groups`).

    Returns:
        (comparison [T, N/G] int, counted within the rollout; played [T, N] bool, False from a member's end until then).
    """
    T, N = over.shape
    ended = torch.zeros(N // size, size, dtype=torch.bool)
    index = torch.zeros(N // size, dtype=torch.int64)
    comparison = torch.empty(T, N // size, dtype=torch.int64)
    played = torch.empty(T, N // size, size, dtype=torch.bool)
    for t in range(T):
        comparison[t], played[t] = index, ~ended
        ended = ended | over[t].view_as(ended)
        renewed = ended.all(1)
        index = index + renewed
        ended = ended & ~renewed.unsqueeze(1)
    return comparison, played.view(T, N)


def group_relative(trajectories: Trajectories, size: int) -> Tensor:
    """How much better a member of a group did than the group, on every action of that member (GRPO).

    A = (G_i − mean_j G_j) / std_j G_j over the G members that began at one identical state (Shao et al. 2024, arXiv
    2402.03300, section 4.1.2: outcome supervision; the deviation with G − 1). G_i is what the member's trajectory
    brought from the common start to its end or the rollout's, so all that are cut are cut after equally many steps.
    Dividing by the group's own deviation is a bias (`pgcontrol theory` shows it); a group of equal returns teaches
    nothing.

    Args:
        trajectories: [T, N] tensors, N a multiple of `size`.
        size: G.

    Returns:
        advantage [T, N], 0 where a member stood still.
    """
    total = returns(trajectories)
    comparison, played = comparisons(trajectories.terminated | trajectories.truncated, size)
    T, N = total.shape
    advantage = torch.zeros(T, N // size, size)
    everyone = total.view(T, N // size, size)
    for k in range(int(comparison.max()) + 1):
        here = comparison == k
        first = here.int().argmax(0)  # the step at which the comparison begins
        outcome = everyone[first, torch.arange(N // size)]
        std, mean = torch.std_mean(outcome, 1, keepdim=True)
        # float32 sums of equal rewards in other orders differ by rounding: that is no deviation
        enough = std > 1e-5 * (1 + mean.abs())
        relative = torch.where(enough, (outcome - mean) / std.clamp_min(1e-12), 0.0)
        advantage = torch.where(here.unsqueeze(2), relative, advantage)
    return advantage.view(T, N) * played


class GroupRelative(Estimator):
    """(G − mean) / std over a group that began at one state: GRPO. `group_size` is the sampling scheme's option."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """`group_relative`; the target is the return from each step on."""
        return Estimate(group_relative(trajectories, self.options.group_size), returns(trajectories))
