"""The table of algorithms. A row has an estimator, an update rule, a critic (or none) and a sampling scheme."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from pgcontrol.heads.base import Head
from pgcontrol.learning import advantages
from pgcontrol.learning.advantages import GAE, TD, Baseline, GroupRelative, NoAdvantage, ReturnToGo, WholeReturn
from pgcontrol.learning.decqn import DecQN
from pgcontrol.learning.natural import Natural, TrustRegion
from pgcontrol.learning.pathwise import Pathwise
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.rule import Rule
from pgcontrol.learning.sampling import Asynchronous, Groups, Sampling
from pgcontrol.learning.score import Score, ScoreAndCritic
from pgcontrol.options import InputError, joined, option


@dataclasses.dataclass(frozen=True)
class Discounted:
    """The options that all algorithms have."""

    gamma: float = option(0.99, "γ: discount of a reward one environment step later", least=0, most=1)


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One row of the table. Its options `--algorithm.X` are the options of its parts.

    Attributes:
        recommended: recommended settings by dotted key. They override a task's recommendations; the user's settings
            override them.
        critic: the default critic. If it is "none", the estimator needs no values, and no other critic is accepted.
        head: the default head; None: the default of the settings. `Rule.trains` decides which heads are possible.
    """

    name: str
    summary: str
    estimator: type[advantages.Estimator]
    rule: type[Rule]
    recommended: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    critic: str = "mse"
    head: str | None = None
    sampling: type[Sampling] = Sampling

    def __post_init__(self) -> None:
        bases = {"estimator": advantages.Estimator, "rule": Rule, "sampling": Sampling}
        for part, base in bases.items():
            given = getattr(self, part)
            if not (isinstance(given, type) and issubclass(given, base)):
                raise TypeError(f"algorithm {self.name!r}: {part} = {given!r}: must be a subclass of {base.__name__}")
        have = {field.name for field in dataclasses.fields(self.Options)}
        if missing := [name for name in self.estimator.needs if name not in have]:
            what = f"{self.estimator.__name__} needs the option {missing[0]!r}, which another part must define"
            raise TypeError(f"algorithm {self.name!r}: estimator {what}")

    @functools.cached_property
    def Options(self) -> type:  # noqa: N802 - a class, as on heads and critics
        """One flat frozen dataclass with the options of all parts."""
        parts = (self.rule.Options, self.estimator.Options, self.sampling.Options, Discounted)
        return joined(f"{self.name}-options", *parts)

    def heads(self, known: Mapping[str, type[Head]]) -> list[str]:
        """The names of those heads among `known` that the row can train."""
        return [name for name, cls in known.items() if self.rule.trains(cls)]

    def check_parts(self, head: str, critic: str, known: Mapping[str, type[Head]]) -> None:
        """Refuse a head, one of `known`, or a critic that does not work with the row.

        Raises:
            InputError: one line with the setting.
        """
        able = self.heads(known)
        if head not in able:
            only = " or ".join(map(repr, able))
            raise InputError(f"head = {head!r}: {self.name!r} trains only {only}; leave the setting out")
        if self.critic == "none" != critic:
            raise InputError(f"critic = {critic!r}: algorithm {self.name!r} uses no critic; leave the setting out")

    def check(self, options: Any, num_envs: int, rollout_steps: int) -> None:
        """Refuse options that do not fit each other, before anything is created.

        Raises:
            InputError: one line with the setting.
        """
        self.sampling.check(options, num_envs)
        self.rule.check(options, num_envs * rollout_steps)


# short rollouts: these rules use their data once, so they need many updates
SHORT = {"rollout_steps": 16, "algorithm.learning_rate": 1e-3}
# TD errors shrink as the critic learns: normalise them. They are only as good as the critic: fit it well
TD_STEPS = SHORT | {"algorithm.critic_minibatch": 64, "algorithm.normalise_advantage": True}
NATURAL = {"rollout_steps": 64}  # one step per rollout: more steps help more than longer rollouts
# rollouts longer than 1/(1 − γ), so that most returns are not cut off
LONG = {"rollout_steps": 128, "algorithm.learning_rate": 3e-3}

GROUPS = SHORT | {"num_envs": 64, "algorithm.group_size": 16}
# every choice is used once; the advantages are normalised within groups already
ONCE = {"algorithm.epochs": 1, "algorithm.normalise_advantage": False}

TABLE = [
    Algorithm("naive-pg", "whole return, no critic (Williams 1992)", WholeReturn, Score, LONG, critic="none"),
    Algorithm("reinforce", "return-to-go, no critic (Williams 1992)", ReturnToGo, Score, LONG, critic="none"),
    Algorithm("reinforce-baseline", "return-to-go − V, unbiased (Williams 1992)", Baseline, ScoreAndCritic, LONG),
    Algorithm("a2c", "one-step TD, short rollouts (Mnih et al. 2016, synchronous)", TD, ScoreAndCritic, TD_STEPS),
    Algorithm(
        "a3c",
        "a2c in worker processes on shared weights; not bit-reproducible (Mnih et al. 2016)",
        TD,
        ScoreAndCritic,
        TD_STEPS | {"num_envs": 8},
        sampling=Asynchronous,
    ),
    Algorithm("gae-pg", "GAE(λ) with the plain score step (Schulman et al. 2016)", GAE, ScoreAndCritic, SHORT),
    Algorithm("ppo", "clipped surrogate on GAE(λ) (Schulman et al. 2017)", GAE, ClippedSurrogate),
    Algorithm(
        "grpo",
        "clipped surrogate on group-relative returns, no critic (Shao et al. 2024)",
        GroupRelative,
        ClippedSurrogate,
        GROUPS | ONCE,
        critic="none",
        sampling=Groups,
    ),
    Algorithm("npg", "natural gradient on GAE(λ), length from a KL budget (Kakade 2002)", GAE, Natural, NATURAL),
    Algorithm("trpo", "natural gradient, line search, KL ≤ δ (Schulman et al. 2015)", GAE, TrustRegion, NATURAL),
    Algorithm(
        "reppo",
        "gradient through an on-policy Q, entropy and KL as constraints (Voelcker et al. 2025)",
        NoAdvantage,
        Pathwise,
        critic="none",
    ),
    Algorithm(
        "decqn",
        "decoupled Q-learning from a replay, no policy gradient (Seyde et al. 2022)",
        NoAdvantage,
        DecQN,
        {"num_envs": 32, "rollout_steps": 16, "head.temperature": 0.02, "algorithm.learning_rate": 3e-4},
        critic="none",
        head="utilities",
    ),
]
