"""The table of algorithms: a row is an estimator, an update rule, a critic or none, and a sampling scheme."""

from __future__ import annotations

import dataclasses
import functools

from pgcontrol.learning.advantages import GAE, Estimator
from pgcontrol.learning.updates import Clip, Rule
from pgcontrol.options import option


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

    @functools.cached_property
    def Options(self) -> type:  # noqa: N802 - a class, as on heads and critics
        """One flat frozen dataclass of all the parts' options."""
        bases = (self.rule.Options, self.estimator.Options, Common)
        return dataclasses.make_dataclass(f"{self.name}-options", [], bases=bases, frozen=True)


TABLE = [
    Algorithm("ppo", "clipped surrogate on GAE(λ) (Schulman et al. 2017)", GAE, Clip),
]
