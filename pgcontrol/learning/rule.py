"""The contract of update rules, how advantages become new weights, and the checks that rules share."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Estimate, Estimator
from pgcontrol.learning.optimiser import Metrics, fresh_adam, load_adam
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine.compiler import EAGER, Compilation
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.policy import Policy

Moved = tuple[Tensor, dict[str, float]]  # new weights [P], and metrics by their logged names


class Diverged(RuntimeError):
    """A number stopped being finite; the message names the first one that did."""


class Rule:
    """`update(rollout, estimate, progress, rng) -> metrics`, and a state to checkpoint.

    A rule owns its step and its optimiser's state, Adam's unless it says otherwise. Subclasses say `Options` (a frozen
    dataclass: what the rule adds to `--algorithm.X`).

    Attributes:
        heeds_prior: whether what the rollout says of a prior counts in `update`.
    """

    Options: ClassVar[type]
    heeds_prior: ClassVar[bool] = True

    def __init__(
        self,
        policy: Policy,
        options: Any,
        compilation: Compilation = EAGER,
        estimator: Estimator | None = None,
        ranks: Ranks = ALONE,
    ):
        """Args:
        policy: what `update` changes.
        options: `Options`, or more.
        compilation: compiles what the rule can run compiled.
        estimator: where advantages and targets came from, for rules that estimate again within an update.
        ranks: processes that make the update together. All have the whole rollout, so that a rule need not share the
            work: each rank may do all of it.
        """
        self.policy, self.options, self.compilation, self.estimator = policy, options, compilation, estimator
        self.ranks = ranks
        self.set_up()

    def set_up(self) -> None:
        """Make the rule's step, and its optimiser's state as it is before the first update."""
        self.adam = fresh_adam(self.policy)

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """Refuse options that cannot work on rollouts of `samples` choices, before anything is made.

        Raises:
            InputError: one line that names the option.
        """

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """How often an update runs the step that can be compiled; 0 when there is none."""
        return 0

    @classmethod
    def memory(cls, options: Any, samples: int, total_steps: int, obs_size: int) -> int:
        """Bytes that it keeps or draws beside rollouts of `samples` choices; none here."""
        return 0

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Improve the policy in place.

        Args:
            rollout: T x N choices made by the policy as it is.
            estimate: the estimator's, of this rollout.
            progress: share of the run's budget used, in [0, 1), for schedules.
            rng: for the order of minibatches.

        Returns:
            metrics by their logged names.

        Raises:
            Diverged: something became infinite or NaN; the policy is left as it was.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Tensors to checkpoint; those named `memory.…`, for a resume alone, only in a run's newest."""
        return self.adam._asdict()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors; ValueError when they do not fit."""
        self.adam = load_adam(self.adam, state)


def means(history: Sequence[Metrics]) -> dict[str, float]:
    """Means of metrics over an update's gradient steps.

    Raises:
        Diverged: names the first that is not finite.
    """
    names, table = history[0].names, torch.stack([metrics.values for metrics in history])
    if not table.isfinite().all():
        step, metric = (~table.isfinite()).nonzero()[0].tolist()
        raise Diverged(f"train/{names[metric]} became {table[step, metric]} in gradient step {step} of this update")
    return dict(zip(names, table.mean(0).tolist(), strict=True))


def move(policy: Policy, theta: Tensor, metrics: Mapping[str, float] | None = None) -> None:
    """Give a policy new weights [P].

    Raises:
        Diverged: some are infinite or NaN, or one of the update's metrics is; it keeps the weights it has.
    """
    for name, metric in (metrics or {}).items():
        if not math.isfinite(metric):
            raise Diverged(f"{name} became {metric} in this update")
    require_finite_weights(policy, theta)
    policy.theta.copy_(theta)


def require_finite_weights(policy: Policy, theta: Tensor) -> None:
    """New weights [P] are numbers; Diverged names the first that are not."""
    for name, weight in policy.unflatten(theta).items():
        if not weight.isfinite().all():
            raise Diverged(f"the weights {name} became infinite or NaN in this update")


def require_ratio_one(error: float) -> None:
    """The weights that are about to move are those that chose; `error` is the largest |ratio − 1|.

    Raises:
        AssertionError: the head's `sample` and `log_prob` disagree.
    """
    if error > 1e-3:
        raise AssertionError(f"ratio off by {error} before the first step: log_prob and sample disagree")


def explained_variance(value: Tensor, target: Tensor) -> float:
    """1 − Var(target − V) / Var(target): 1 is a perfect critic, 0 one no better than a constant."""
    spread = target.var()
    return float(1 - (target - value).var() / spread) if spread > 0 else float("nan")
