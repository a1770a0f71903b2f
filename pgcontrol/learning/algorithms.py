"""The table of algorithms: a row is an estimator, an update rule, a critic or none, and a sampling scheme."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from pgcontrol.learning.advantages import GAE, TD, Baseline, Estimator, GroupRelative, ReturnToGo, WholeReturn
from pgcontrol.learning.natural import Natural, TrustRegion
from pgcontrol.learning.sampling import Groups, Independent, Sampling, Workers
from pgcontrol.learning.score import Score, ScoreAndCritic
from pgcontrol.learning.updates import Clip, Rule
from pgcontrol.options import InputError, option


@dataclasses.dataclass(frozen=True)
class Common:
    """What every algorithm has."""

    gamma: float = option(0.99, "γ: discount of a reward one environment step later", least=0, most=1)


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One row. Its options, set by `--algorithm.X`, are those of its parts."""

    name: str
    summary: str
    estimator: type[Estimator]
    rule: type[Rule]
    critic: str = "mse"
    """The critic by default; "none" where the estimator has no use for values, and then no other is taken."""
    sampling: type[Sampling] = Independent
    recommended: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings that suit the row, by dotted key: before a task's recommendations, behind what the user says."""

    @functools.cached_property
    def Options(self) -> type:  # noqa: N802 - a class, as on heads and critics
        """One flat frozen dataclass of all the parts' options."""
        parts = (self.rule.Options, self.estimator.Options, self.sampling.Options, Common)
        return dataclasses.make_dataclass(f"{self.name}-options", [], bases=parts, frozen=True)

    def check(self, options: Any, critic: str, num_envs: int, rollout_steps: int) -> None:
        """Refuse what cannot work together, before anything is made.

        Raises:
            InputError: one line that names the setting.
        """
        if self.critic == "none" != critic:
            raise InputError(f"critic = {critic!r}: algorithm {self.name!r} uses no critic; leave the setting out")
        self.sampling.check(options, num_envs)
        self.rule.check(options, num_envs * rollout_steps)


TABLE = [
    Algorithm(
        "naive-pg",
        "the whole trajectory's return on every action, no critic (Williams 1992)",
        WholeReturn,
        Score,
        critic="none",
    ),
    Algorithm(
        "reinforce",
        "return-to-go, no critic (Williams 1992)",
        ReturnToGo,
        Score,
        critic="none",
    ),
    Algorithm(
        "reinforce-baseline",
        "return-to-go less V, unbiased (Williams 1992)",
        Baseline,
        ScoreAndCritic,
    ),
    Algorithm(
        "a2c",
        "one-step TD errors, short rollouts, RMSprop (Mnih et al. 2016, in step)",
        TD,
        ScoreAndCritic,
    ),
    Algorithm(
        "a3c",
        "a2c in worker processes on shared weights; not bit-reproducible (Mnih et al. 2016)",
        TD,
        ScoreAndCritic,
        sampling=Workers,
    ),
    Algorithm("gae-pg", "GAE(λ) with the plain score step (Schulman et al. 2016)", GAE, ScoreAndCritic),
    Algorithm("ppo", "clipped surrogate on GAE(λ) (Schulman et al. 2017)", GAE, Clip),
    Algorithm(
        "grpo",
        "clipped surrogate on group-relative returns, no critic (Shao et al. 2024)",
        GroupRelative,
        Clip,
        critic="none",
        sampling=Groups,
    ),
    Algorithm("npg", "natural gradient on GAE(λ), length from a KL budget (Kakade 2002)", GAE, Natural),
    Algorithm("trpo", "natural gradient with a line search, KL ≤ δ always (Schulman et al. 2015)", GAE, TrustRegion),
]
