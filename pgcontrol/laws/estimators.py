"""Laws of advantage estimators: pure functions of [T, N] that carry nothing from one episode to another."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pgcontrol.laws.base import NotJudged, finite, law, require, rng, same, shaped, within
from pgcontrol.learning.advantages import Estimate, Estimator, Trajectories
from pgcontrol.learning.algorithms import Algorithm
from pgcontrol.learning.sampling import Groups, Sampling

T, N, BORDER, GROUP = 12, 8, 5, 4


def make(cls: type[Estimator], rows: Iterable[Algorithm] = ()) -> Estimator:
    """An estimator with the options of the first row that uses it, or else with its own and a group's options."""
    row = next((row for row in rows if row.estimator is cls), None)
    if row is not None:
        return cls(row.Options(**({"group_size": GROUP} if row.sampling.copies else {})))
    parts: Any = dict.fromkeys((cls.Options, Groups.Options, Sampling.Options))
    options: Any = dataclasses.make_dataclass("options", [], bases=tuple(parts), frozen=True)
    return cls(options(group_size=GROUP))


def _seen(how: str = "terminated", shift: float = 0.0) -> Trajectories:
    """Random trajectories that all end at BORDER. Rewards and values after it are shifted, more in each env."""
    reward, value, final = torch.randn(3, T, N, generator=rng())
    behind = (torch.arange(T) > BORDER).unsqueeze(1) * shift * torch.arange(1, N + 1)
    over = torch.zeros(T, N, dtype=torch.bool)
    over[BORDER] = True
    none = torch.zeros_like(over)
    terminated, truncated = (over, none) if how == "terminated" else (none, over)
    value = value + behind
    after = torch.where(over, final, torch.cat([value[1:], final[:1]]))
    return Trajectories(reward + behind, value, after, 0.9 * (~terminated).float(), terminated, truncated)


def _named(estimate: Estimate) -> dict[str, Tensor]:
    return {"advantage": estimate[0], "target": estimate[1]}


@law
def shapes(estimator: Estimator) -> None:
    """The advantage and the critic's target are finite float32 [T, N]."""
    estimate = estimator(_seen())
    require(isinstance(estimate, tuple) and len(estimate) == 2, "__call__: expected Estimate(advantage, target)")
    for name, got in _named(estimate).items():
        shaped(f"__call__ ({name})", got, "[T, N]", (T, N), torch.float32)
        finite(f"__call__: the {name}", got)


@law
def it_is_a_pure_function(estimator: Estimator) -> None:
    """Two calls have the same result, and do not change the trajectories."""
    seen = _seen()
    given = Trajectories(*(part.clone() for part in seen))
    first, again = _named(estimator(seen)), _named(estimator(seen))
    for name, part in seen._asdict().items():
        same(f"__call__ changes trajectories.{name}: before and after", part, getattr(given, name))
    for name, value in first.items():
        same(f"__call__ twice: the {name}", again[name], value)


@law
def nothing_of_the_next_episode_reaches_this_one(estimator: Estimator) -> None:
    """Changing rewards and values after an episode's end (terminal or time limit) changes nothing before it."""
    for how in ("terminated", "truncated"):
        plain, shifted = (_named(estimator(_seen(how, shift))) for shift in (0.0, 1000.0))
        for name, before in plain.items():
            what = f"the {name} up to step {BORDER}, {how}, with other rewards and values from {BORDER + 1} on"
            same(what, shifted[name][: BORDER + 1], before[: BORDER + 1])


@law
def rewards_and_values_count(estimator: Estimator) -> None:
    """Changing rewards and values changes the advantage and the target in the same episode."""
    for how in ("terminated", "truncated"):
        plain, shifted = (_named(estimator(_seen(how, shift))) for shift in (0.0, 1000.0))
        if not plain["advantage"].any() and not shifted["advantage"].any():
            raise NotJudged("the advantage is always 0")
        for name, before in plain.items():
            moved = not torch.equal(before[BORDER + 1 :], shifted[name][BORDER + 1 :])
            require(moved, f"the {name} from step {BORDER + 1} on is the same with other rewards and values there")


@law
def corrected_for_no_drift_it_is_the_same(estimator: Estimator) -> None:
    """Of trajectories of the policy itself, `corrected` gives what `__call__` gives; of another's, something else."""
    if not estimator.corrects():
        raise NotJudged("it defines no `corrected`, so that --algorithm.reuse refuses it")
    seen, one = _seen(), torch.ones(T, N)
    plain, alike, other = (
        _named(e) for e in (estimator(seen), *(estimator.corrected(seen, k * one) for k in (1, 0.1)))
    )
    for name, value in plain.items():
        within(f"corrected for a drift of 1: the {name}", alike[name], value, 1e-5)
        require(not torch.equal(other[name], value), f"corrected for a drift of 0.1: the {name} is what it was")


@law
def equal_rewards_give_finite_numbers(estimator: Estimator) -> None:
    """Equal rewards and a critic that is 0 everywhere do not cause a division by 0."""
    seen = _seen()
    nothing = torch.zeros_like(seen.value)
    for reward in (0.0, 1.0):
        alike = seen._replace(reward=torch.full_like(nothing, reward), value=nothing, next_value=nothing)
        for name, got in _named(estimator(alike)).items():
            finite(f"__call__: the {name}", got, f" where every reward is {reward:g}")
