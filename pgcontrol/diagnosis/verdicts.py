"""Words for what happened to σ and to the policy, from a run's log; docs/diagnosis.md defends the limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.options import option
from pgcontrol.runs.log import short

Rows = Sequence[dict[str, Any]]
STEPS, RETURN, KL = "time/total_timesteps", "rollout/ep_rew_mean", "train/kl"


@dataclass(frozen=True)
class Limits:
    """What counts as what."""

    share: float = option(0.05, "a joint is narrow below this spread, in half-ranges", above=0, below=1)
    of_start: float = option(0.1, "... or below this share of its spread at the start", least=0, below=1)
    lasting: float = option(0.05, "share of the budget for which it must stay narrow", least=0, below=1)
    rising: float = option(0.1, "a change of the return counts above this share of all it did in the run", above=0)
    slower: float = option(0.25, "learning has stalled below this share of its rate before", above=0, below=1)
    spike: float = option(10.0, "an update's KL is a spike above this many times the median before", above=1)
    spike_least: float = option(0.05, "... and above this, in nats", above=0)
    drop: float = option(0.5, "a policy is destroyed when this share of all it had gained is lost for good", above=0)


class Onset(NamedTuple):
    """When the least spread over joints came under its limit to stay there."""

    step: int
    joints: list[int]
    """That were narrow for at least half of the time that it had to last."""
    spread: float
    """The least over joints, at the end of that time."""


class Gain(NamedTuple):
    """What a counterfactual says: how much better it ends when the policy is widened at the onset."""

    gain: float
    half: float
    """Half of the gain's 95 % interval (Welch)."""
    better: tuple[float, float, float]
    """Probability that a widened branch beats one left alone, and its interval."""
    seeds: int
    scale: float
    """What is large on this task: all that the return did in the run and in its branches."""


class Verdict(NamedTuple):
    """A word, and why."""

    word: str
    why: str
    step: int | None = None
    joints: tuple[int, ...] = ()


def column(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values [n] of the rows that have the metric."""
    found = [(row[STEPS], row[name]) for row in rows if row.get(name) is not None]
    steps, values = zip(*found, strict=True) if found else ((), ())
    return np.array(steps, float), np.array(values, float)


def spreads(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Steps [n] and each joint's spread [n, A], in half-ranges, at the states that were visited then.

    Not at those of the first rollout: where a policy no longer goes, its mean drifts out of the bounds, and what is
    clipped has no spread. From `health/*`; in logs older than that, from what the head says of σ.
    """
    for name in ("health/visited_spread_joint", "head/std_joint"):
        measured = [row for row in rows if row.get(f"{name}0") is not None]
        if measured:
            joints = len([key for key in measured[0] if re.fullmatch(rf"{name}\d+", key)])
            each = [[row[f"{name}{j}"] for j in range(joints)] for row in measured]
            return np.array([row[STEPS] for row in measured], float), np.array(each, float)
    return np.zeros(0), np.zeros((0, 0))


def onset(steps: np.ndarray, spread: np.ndarray, budget: int, limits: Limits) -> Onset | None:
    """The first step from which on some joint is narrow for `lasting` of the budget, or None.

    Args:
        steps: [n].
        spread: [n, A], in half-ranges.
        budget: environment steps of the whole run.
        limits: what is narrow, and for how long.
    """
    if not len(steps):
        return None
    narrow = spread < np.maximum(limits.share, limits.of_start * spread[0])
    wide_again = [*np.flatnonzero(~narrow.any(1)), len(steps)]
    begin = 0
    for end in wide_again:
        enough = np.flatnonzero(steps[begin:end] >= steps[begin] + limits.lasting * budget) if end > begin else []
        if len(enough):
            often = narrow[begin : begin + enough[0] + 1].mean(0)
            joints = np.flatnonzero(often >= min(0.5, often.max()))  # joints may take turns, each below half the time
            return Onset(int(steps[begin]), joints.tolist(), float(spread[begin + enough[0]].min()))
        begin = end + 1
    return None


def collapse(rows: Rows, budget: int, limits: Limits, gain: Gain | None = None) -> Verdict:
    """healthy, sharp, suspected or collapsed.

    Args:
        rows: of metrics.jsonl.
        budget: environment steps of the whole run.
        limits: what counts as what.
        gain: what the counterfactual says, if there was one.
    """
    found = onset(*spreads(rows), budget, limits)
    if found is None:
        steps, spread = spreads(rows)
        least = f"least spread of a joint at the end: {spread[-1].min():.3g} half-ranges" if len(steps) else "no log"
        return Verdict("healthy", least)
    where = f"from step {found.step:,} on, spread {found.spread:.2g} in {_joints(found.joints)}"
    word, why = _proved(gain, limits) if gain else _suspected(rows, budget, found, limits)
    return Verdict(word, f"{where}; {why}", found.step, tuple(found.joints))


def _proved(gain: Gain, limits: Limits) -> tuple[str, str]:
    """Collapsed: it surely cost something, and something that counts. Sharp: surely nothing that counts."""
    counts = limits.rising * gain.scale
    low, high = gain.gain - gain.half, gain.gain + gain.half
    better = f"P(better) {gain.better[0]:.2f} ({gain.better[1]:.2f} … {gain.better[2]:.2f})"
    measured = f"{short(gain.gain)} ± {short(gain.half)} ({better}, {gain.seeds} branches each)"
    if low > 0 and gain.gain > counts and gain.better[1] > 0.5:
        return "collapsed", f"widened there it ends better: cost {measured}"
    if high < counts:
        return "sharp", f"harmless: widened there it gains {measured}"
    return "suspected", f"branches cannot tell: widened there it gains {measured}"


def _suspected(rows: Rows, budget: int, found: Onset, limits: Limits) -> tuple[str, str]:
    steps, returns = column(rows, RETURN)
    if len(steps) < 5:
        return "sharp", "no return to judge it by"
    start, at, end = (
        returns[:3].mean(),
        np.interp(found.step, steps, returns),
        returns[-max(1, len(steps) // 20) :].mean(),
    )
    before = np.interp(found.step - 0.1 * budget, steps, returns)
    counts = max(limits.rising * np.ptp(returns), 3 * noise(returns))
    rate_before = (at - start) / max(found.step - steps[0], 1.0)
    rate_after = (end - at) / max(steps[-1] - found.step, 1.0)
    if end - returns[steps <= max(found.step, steps[0])].max() < -counts:
        return "suspected", "the return fell from then on"
    if end - start < counts:
        return "suspected", "it had not learned before, nor did it after"
    if at - before > counts and rate_after < limits.slower * rate_before:
        return "suspected", "the return was rising when it came, and rose no more"
    if at - start < counts and rate_after * budget < counts:
        return "suspected", "nothing had been learned when it came"
    return "sharp", "the return rose on" if end - at > counts else "the return had levelled off before"


def destroyed(rows: Rows, budget: int, limits: Limits) -> Verdict | None:
    """A KL spike, and behind it a drop of the return that does not recover; or None."""
    steps, returns = column(rows, RETURN)
    at, kl = column(rows, KL)
    if len(steps) < 10:
        return None
    for i in range(5, len(kl)):
        usual = float(np.median(kl[max(0, i - 50) : i]))
        if kl[i] < max(limits.spike * usual, limits.spike_least):
            continue
        had, rest = returns[steps < at[i]], returns[steps >= at[i] + limits.lasting * budget]
        if len(had) < 3 or len(rest) < 3:
            continue
        start, best = had[:3].mean(), had[-10:].mean()
        gained = best - start
        if gained > 5 * noise(had) and rest.max() < best - limits.drop * gained:
            why = f"KL {kl[i]:.2g} at step {at[i]:,.0f}, {kl[i] / max(usual, 1e-9):.0f} times the median before;"
            return Verdict(
                "destroyed", f"{why} the return fell from {short(best)} to {short(rest.mean())} for good", int(at[i])
            )
    return None


def noise(returns: np.ndarray) -> float:
    """What a curve moves between neighbouring rows by chance: the median absolute change, as a deviation."""
    return float(1.48 * np.median(np.abs(np.diff(returns)))) if len(returns) > 1 else 0.0


def judge(
    rows: Rows, budget: int, status: str, limits: Limits | None = None, gain: Gain | None = None
) -> list[Verdict]:
    """All that the log says: the word for σ, after it what destroyed the policy.

    Args:
        rows: of metrics.jsonl.
        budget: environment steps of the whole run.
        status: the manifest's.
        limits: what counts as what.
        gain: what a counterfactual says of σ.
    """
    limits = limits or Limits()
    verdicts = [collapse(rows, budget, limits, gain)]
    if status == "diverged":
        verdicts.append(Verdict("destroyed", "numbers stopped being finite", int(rows[-1][STEPS]) if rows else None))
    elif found := destroyed(rows, budget, limits):
        verdicts.append(found)
    return verdicts


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line: the gravest words first, `healthy` only where there is no other."""
    told = [v for v in verdicts if v.word != "healthy"] or list(verdicts[:1])
    return "; ".join(f"{v.word} ({v.why})" for v in reversed(told))


def words(verdicts: Sequence[Verdict]) -> str:
    """The words alone, for tables."""
    return ", ".join(v.word for v in verdicts if v.word != "healthy") or "healthy"


def _joints(joints: Sequence[int]) -> str:
    named = ", ".join(map(str, joints))
    return f"joint {named}" if len(joints) == 1 else f"joints {named}"
