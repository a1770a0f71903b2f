"""The base class of update rules, which compute new weights from advantages, and checks that rules share."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pgcontrol.heads.base import Head
from pgcontrol.learning.advantages import Estimate, Estimator
from pgcontrol.learning.optimiser import Metrics, fresh_adam, load_adam
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine.compiler import EAGER, Compilation
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError
from pgcontrol.policy import Policy

Moved = tuple[Tensor, dict[str, float]]  # new weights [P], and metrics by their logged names


class Diverged(RuntimeError):
    """A number became infinite or NaN; the message names the first one."""


class Rule:
    """Base class of update rules: `update(rollout, estimate, progress, rng) -> metrics`, and a state for checkpoints.

    A rule owns its step and the state of its optimiser; the default is Adam. Subclasses define `Options`, a frozen
    dataclass with the rule's part of `--algorithm.X`.

    Attributes:
        heeds_prior: whether `update` uses the rollout's prior.
        metrics: unit and meaning of the metrics `train/NAME` that other rules do not have, by name.
    """

    Options: ClassVar[type]
    heeds_prior: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, Metric]] = {}

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
        options: an instance of `Options`, possibly with further fields.
        compilation: compiles the functions of the rule that can be compiled.
        estimator: the advantage estimator, for rules that recompute advantages within an update.
        ranks: the processes that compute the update together. All have the whole rollout, so a rule need not divide
            the work: each rank may do all of it.
        """
        self.policy, self.options, self.compilation, self.estimator = policy, options, compilation, estimator
        self.ranks = ranks
        self.set_up()

    def set_up(self) -> None:
        """Create the rule's step and the initial state of its optimiser."""
        self.adam = fresh_adam(self.policy)

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """Refuse options that do not fit rollouts of `samples` choices, before anything is created.

        Raises:
            InputError: one line with the option.
        """

    @classmethod
    def stored(cls, options: Any) -> tuple[str, ...]:
        """Names of options on which data in the rule's state depends, so that a resumed run keeps them."""
        return ()

    @classmethod
    def trains(cls, head: type[Head]) -> bool:
        """Whether the rule can train this kind of head; the default is yes."""
        return True

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """The number of compilable steps per update; 0 if there are none."""
        return 0

    @classmethod
    def memory(cls, options: Any, samples: int, total_steps: int, obs_size: int) -> int:
        """Bytes that the rule needs in addition to a rollout of `samples` choices; the default is 0."""
        return 0

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Improve the policy in place.

        Args:
            rollout: T x N choices, sampled by the current policy.
            estimate: advantages and targets of this rollout.
            progress: fraction of the run's budget that is used, in [0, 1), for schedules.
            rng: random stream for the order of minibatches.

        Returns:
            metrics by their logged names.

        Raises:
            Diverged: a number became infinite or NaN; the policy does not change.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint. Those named `memory.…` are kept only in the newest one, for resuming."""
        return self.adam._asdict()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors. Raises ValueError if their shapes do not fit."""
        self.adam = load_adam(self.adam, state)


def means(history: Sequence[Metrics]) -> dict[str, float]:
    """Means of metrics over the gradient steps of an update.

    Raises:
        Diverged: a metric is infinite or NaN; the message names the first one.
    """
    names, table = history[0].names, torch.stack([metrics.values for metrics in history])
    if not table.isfinite().all():
        step, metric = (~table.isfinite()).nonzero()[0].tolist()
        raise Diverged(f"train/{names[metric]} became {table[step, metric]} in gradient step {step} of this update")
    return dict(zip(names, table.mean(0).tolist(), strict=True))


def move(policy: Policy, theta: Tensor, metrics: Mapping[str, float] | None = None) -> None:
    """Set a policy's weights to `theta` [P].

    Raises:
        Diverged: a weight or a metric of the update is infinite or NaN; the policy keeps its weights.
    """
    for name, metric in (metrics or {}).items():
        if not math.isfinite(metric):
            raise Diverged(f"{name} became {metric} in this update")
    require_finite_weights(policy, theta)
    policy.theta.copy_(theta)


def require_minibatch(options: Any, samples: int) -> None:
    """Raises InputError if the option `minibatch` is larger than a rollout of `samples` choices."""
    if options.minibatch > samples:
        most = f"the rollout's num_envs x rollout_steps = {samples} samples"
        raise InputError(f"algorithm.minibatch = {options.minibatch}: must be at most {most}")


def require_finite_weights(policy: Policy, theta: Tensor) -> None:
    """Raises Diverged, with the first name, if any of the new weights [P] are infinite or NaN."""
    for name, weight in policy.unflatten(theta).items():
        if not weight.isfinite().all():
            raise Diverged(f"the weights {name} became infinite or NaN in this update")


def require_ratio_one(error: float, compilation: Compilation = EAGER) -> None:
    """Check that the ratio is 1 before the first step.

    Args:
        error: the largest |ratio − 1|.
        compilation: the rule's. Compiled code rounds differently from the code that acted, by about 1e-6 of μ, and in
            the ratio this is divided by σ. With μ = 12 and σ = 0.001 the error is up to 0.05.

    Raises:
        AssertionError: the head's `sample` and `log_prob` are inconsistent.
    """
    if error > (0.1 if compilation.on else 1e-3):
        raise AssertionError(f"ratio off by {error} before the first step: log_prob and sample disagree")


def explained_variance(value: Tensor, target: Tensor) -> float:
    """1 − Var(target − V) / Var(target). 1: a perfect critic; 0: no better than a constant."""
    spread = target.var()
    return float(1 - (target - value).var() / spread) if spread > 0 else float("nan")
