"""Advantage estimators: pure functions of [T, N] tensors, independent of the networks."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pgcontrol.options import InputError, NoOptions, option


class Trajectories(NamedTuple):
    """The input of an estimator; all tensors are [T, N].

    `discount` is γ^(steps played) x (not terminated), so estimators need no scalar γ. `next_value` is V of the state in
    which the transition ended, also if the time limit ended the episode there.
    """

    reward: Tensor
    value: Tensor
    next_value: Tensor
    discount: Tensor
    terminated: Tensor
    truncated: Tensor


class Estimate(NamedTuple):
    """The output of an estimator; both tensors are [T, N].

    Attributes:
        target: the critic's regression target.
    """

    advantage: Tensor
    target: Tensor

    def without(self, masked: Tensor, value: Tensor) -> "Estimate":
        """Ignore the samples in `masked` [T, N]: set their advantage to 0, and their target to the `value` [T, N]."""
        return Estimate(self.advantage.masked_fill(masked, 0.0), torch.where(masked, value, self.target))


class Estimator:
    """Computes an Estimate from Trajectories."""

    Options: ClassVar[type] = NoOptions
    needs: ClassVar[tuple[str, ...]] = ()  # names of options of another part that it reads

    def __init__(self, options: Any):
        self.options = options

    def __call__(self, trajectories: Trajectories) -> Estimate:
        """The advantages and the critic's targets."""
        raise NotImplementedError

    def corrected(self, trajectories: Trajectories, drift: Tensor) -> Estimate:
        """The estimate under the current policy from trajectories of older policies; for rules that reuse rollouts.

        Args:
            trajectories: with the current values.
            drift: [T, N], probability of the choice under the current policy divided by that under the older policy.
        """
        raise NotImplementedError

    @classmethod
    def corrects(cls) -> bool:
        """Whether the estimator defines `corrected`."""
        return cls.corrected is not Estimator.corrected


def estimated(estimator: Estimator, trajectories: Trajectories, drift: Tensor | None = None) -> Estimate:
    """The checked result of an estimator, which may come from a plug-in. With `drift`, calls `corrected`.

    Raises:
        InputError: the result is not an Estimate of tensors [T, N] with the dtype of the rewards.
        FloatingPointError: the result is infinite or NaN, and the trajectories are not.
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

    δ_t = r_t + discount_t V(s_{t+1}) − V(s_t);  A_t = δ_t + λ discount_t A_{t+1}. The sum stops at an episode's end: at
    a termination because discount is 0, and at a time limit because the next row belongs to another episode. At a time
    limit δ still bootstraps from V of the final state.

    Args:
        trajectories: [T, N] tensors.
        lam: λ in [0, 1]; 0 is the one-step TD error, 1 the Monte Carlo return minus V.
        trace: [T, N], factors for the contribution of each step to the advantages of earlier steps; None: 1.

    Returns:
        advantages [T, N].
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
    """GAE(λ); the critic's target is the λ-return, A + V."""

    @dataclass(frozen=True)
    class Options:
        gae_lambda: float = option(0.95, "λ of GAE: 0 one-step TD, 1 Monte Carlo", least=0, most=1)

    def __call__(self, trajectories: Trajectories) -> Estimate:
        advantage = gae(trajectories, self.options.gae_lambda)
        return Estimate(advantage, advantage + trajectories.value)

    def corrected(self, trajectories: Trajectories, drift: Tensor) -> Estimate:
        """V-trace with λ (Espeholt et al. 2018, eq. 1, as in the code of GePPO): the traces are cut by min(1, drift).

        A_t = δ_t + λ discount_t c_{t+1} A_{t+1}, and the target is V_t + c_t A_t, with c = min(1, drift).
        """
        trace = drift.clamp_max(1.0)
        advantage = gae(trajectories, self.options.gae_lambda, trace)
        return Estimate(advantage, trace * advantage + trajectories.value)


class NoAdvantage(Estimator):
    """Advantage 0 everywhere, and V as the target; for rules that do not need an estimator."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        return Estimate(torch.zeros_like(trajectories.value), trajectories.value)


def returns(trajectories: Trajectories) -> Tensor:
    """Discounted sum of rewards from each step to the end of its episode, or to the end of the rollout, [T, N].

    G_t = r_t + discount_t G_{t+1} within an episode. If the end of the rollout or a time limit cuts an episode, only
    the rewards *before the cut* count, because there is no value function to bootstrap from. This biases the returns of
    the last steps before a cut by γ^(steps left) V. If the rollout has several times 1/(1−γ) steps, or whole episodes,
    such steps are few.
    """
    nothing = torch.zeros_like(trajectories.value)
    return gae(trajectories._replace(value=nothing, next_value=nothing), 1.0)


def whole_return(trajectories: Trajectories) -> Tensor:
    """For every step, the return of its whole trajectory, [T, N]. A trajectory is an episode's part in the rollout.

    G(τ) = Σ_t γ^t r_t, where t counts from the first step of the trajectory (Williams 1992, eq. 11; Peters & Schaal
    2008, eq. 6). For cut episodes see `returns`.
    """
    over, total = trajectories.terminated | trajectories.truncated, returns(trajectories)
    for t in range(1, len(total)):
        total[t] = torch.where(over[t - 1], total[t], total[t - 1])
    return total


class WholeReturn(Estimator):
    """G(τ) as the weight of every action: the naive policy gradient (Williams 1992). The target is the return-to-go."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        return Estimate(whole_return(trajectories), returns(trajectories))


class ReturnToGo(Estimator):
    """The return-to-go: rewards before an action do not depend on it, so they are left out.

    (Williams 1992; Sutton & Barto 2018, eq. 13.8, without the factor γ^t, as is usual: late states of an episode have
    the same weight as early ones.)
    """

    def __call__(self, trajectories: Trajectories) -> Estimate:
        total = returns(trajectories)
        return Estimate(total, total)


class Baseline(Estimator):
    """The return-to-go minus V(s): REINFORCE with a baseline (Williams 1992, section 4).

    V is only subtracted and never used for bootstrapping, also where an episode is cut. So an inaccurate V increases
    the variance, but adds no bias to that of `returns`. The critic's target is the Monte Carlo return.
    """

    def __call__(self, trajectories: Trajectories) -> Estimate:
        total = returns(trajectories)
        return Estimate(total - trajectories.value, total)


class TD(Estimator):
    """The one-step TD error r + γV(s') − V(s) (Sutton & Barto 2018, eq. 13.12-13.14), which is GAE(0).

    The critic's target is r + γV(s').
    """

    def __call__(self, trajectories: Trajectories) -> Estimate:
        advantage = gae(trajectories, 0.0)
        return Estimate(advantage, advantage + trajectories.value)


def comparisons(over: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The comparison that each step of a group belongs to, and whether the step was played.

    Args:
        over: [T, N] bool, steps that end an episode.
        size: G; environments i·G … i·G + G − 1 are a group. When the episodes of all of them have ended, they start
            the next comparison together (`sampling.Groups`).

    Returns:
        (comparison [T, N/G] int, numbered within the rollout; played [T, N] bool, False while a member waits for the
        others).
    """
    T, N = over.shape
    ended = torch.zeros(N // size, size, dtype=torch.bool)
    index = torch.zeros(N // size, dtype=torch.int64)
    comparison = torch.empty(T, N // size, dtype=torch.int64)
    played = torch.empty(T, N // size, size, dtype=torch.bool)
    for t in range(T):
        comparison[t], played[t] = index, ~ended
        ended = ended | over[t].view_as(ended)
        restarted = ended.all(1)
        index = index + restarted
        ended = ended & ~restarted.unsqueeze(1)
    return comparison, played.view(T, N)


def group_relative(trajectories: Trajectories, size: int) -> Tensor:
    """The normalised return of each member relative to its group, for every action of the member (GRPO).

    A = (G_i − mean_j G_j) / std_j G_j over the G members that started from the same state (Shao et al. 2024, arXiv
    2402.03300, section 4.1.2: outcome supervision; the standard deviation uses G − 1). G_i is the return from the
    common start to the end of the episode or of the rollout, so all cut trajectories have the same length. Dividing by
    the group's standard deviation biases the gradient (`pgcontrol theory` shows it). If all returns of a group are
    equal, the advantages are 0.

    Args:
        trajectories: [T, N] tensors, N a multiple of `size`.
        size: G.

    Returns:
        advantages [T, N]; 0 for steps in which the member waited.
    """
    total = returns(trajectories)
    comparison, played = comparisons(trajectories.terminated | trajectories.truncated, size)
    T, N = total.shape
    advantage = torch.zeros(T, N // size, size)
    everyone = total.view(T, N // size, size)
    for k in range(int(comparison.max()) + 1):
        here = comparison == k
        first = here.int().argmax(0)  # the first step of the comparison
        outcome = everyone[first, torch.arange(N // size)]
        std, mean = torch.std_mean(outcome, 1, keepdim=True)
        # ignore differences by rounding: float32 sums of the same rewards in another order
        enough = std > 1e-5 * (1 + mean.abs())
        relative = torch.where(enough, (outcome - mean) / std.clamp_min(1e-12), 0.0)
        advantage = torch.where(here.unsqueeze(2), relative, advantage)
    return advantage.view(T, N) * played


class GroupRelative(Estimator):
    """(G − mean) / std over a group with a common start: GRPO. The sampling scheme defines the option `group_size`."""

    needs = ("group_size",)

    def __call__(self, trajectories: Trajectories) -> Estimate:
        return Estimate(group_relative(trajectories, self.options.group_size), returns(trajectories))
