"""The verdict on the return of a run (healthy, no gain, declined, destroyed or stuck), and on its mode."""

from typing import NamedTuple

import numpy as np

from pgcontrol.measures.curves import KL, RETURN, STEPS, LogRows, column, counts, noise, smooth
from pgcontrol.measures.verdicts import (
    DECLINED,
    DESTROYED,
    HEALTHY,
    NO_GAIN,
    NOT_JUDGED,
    STUCK,
    WEAK_MODE,
    Limits,
    Verdict,
)
from pgcontrol.text import count, short

LEAST = 10  # updates with a return that a verdict needs
MODE, SAMPLED = "eval/mean_reward", "eval/mean_reward_sampled"


class Reach(NamedTuple):
    """What other runs reached after as many steps.

    Attributes:
        value: a return.
        whose: description of the runs, with their number.
    """

    value: float
    whose: str


def learning(rows: LogRows, status: str, limits: Limits, reach: Reach | None = None) -> Verdict:
    """What happened to the return: destroyed, stuck, declined, no gain, or healthy.

    Destroyed means that updates caused the loss: one update whose KL is a spike and is followed by a drop that does not
    recover, or all updates, if the median KL is so large that each update replaces the policy. Declined is the same
    loss without such a cause. Stuck means that the return stays far below what other runs reached.

    Args:
        rows: rows of metrics.jsonl.
        status: status in the manifest.
        limits: thresholds.
        reach: what other runs reached.
    """
    if status == "diverged":
        return Verdict("return", DESTROYED, "numbers became infinite or NaN", int(rows[-1][STEPS]) if rows else None)
    steps, returns = column(rows, RETURN)
    if len(steps) < LEAST:
        what = f"too short: {count(len(steps), 'update')} with a return, and a verdict needs {LEAST}"
        return Verdict("return", NOT_JUDGED, what)
    if spike := _spiked(rows, limits):
        return spike
    curve, kl = smooth(returns), column(rows, KL)[1]
    start, best, end = returns[:3].mean(), curve.max(), curve[-1]
    path = f"from {short(start)} to {short(best)} at its best and {short(end)} at the end"
    lost = best - end > limits.drop * (best - start) and best - start > 5 * noise(returns)
    learned = not lost and end - start >= counts(returns, limits.rising)
    if not learned and len(kl) and (usual := float(np.median(kl))) > limits.large:
        return Verdict("return", DESTROYED, f"the median KL of an update is {usual:.2g} nats; the return went {path}")
    if not lost and reach and (since := standstill(steps, returns, reach.value, limits)) is not None:
        what = f"at {short(end)} since step {since:,}; {reach.whose} reached {short(reach.value)}"
        return Verdict("return", STUCK, what, since)
    if learned:
        behind = reach is not None and far_below(returns, reach.value, limits)
        more = f", and still rising; {reach.whose} reached {short(reach.value)}" if reach and behind else ""
        return Verdict("return", HEALTHY, f"from {short(start)} to {short(end)}{more}")
    at = int(steps[curve.argmax()])
    if lost:
        return Verdict("return", DECLINED, path, at)
    worse = "it became worse, " if start - end >= counts(returns, limits.rising) else ""
    return Verdict("return", NO_GAIN, worse + path)


def far_below(returns: np.ndarray, reach: float, limits: Limits) -> bool:
    """Whether a run made less than the fraction `short_of` of the way from its first return to a higher one.

    Args:
        returns: [n], in training.
        reach: the return to compare with.
        limits: thresholds.
    """
    start = returns[:3].mean()
    return bool(reach > start and smooth(returns)[-1] - start < limits.short_of * (reach - start))


def standstill(steps: np.ndarray, returns: np.ndarray, reach: float, limits: Limits) -> int | None:
    """The step since which a run stays far below a return; None: it does not.

    Far below: see `far_below`. Stays: in its last quarter it changed by less than `rising` of what is missing. The step
    is the first at which the curve was as high as at the end, minus what counts.

    Args:
        steps: [n].
        returns: [n], in training.
        reach: the return to compare with.
        limits: thresholds.
    """
    if not far_below(returns, reach, limits):
        return None
    curve = smooth(returns)
    end = curve[-1]
    change = abs(end - np.interp(0.75 * steps[-1], steps, curve))
    if change > limits.rising * (reach - end):
        return None
    return int(steps[np.argmax(curve >= end - counts(returns, limits.rising))])


def played(rows: LogRows, limits: Limits) -> list[Verdict]:
    """Whether samples of the policy beat its mode; empty if they were not evaluated.

    Uses up to three evaluations of the last quarter of the run.
    """
    mode, sampled = column(rows, MODE), column(rows, SAMPLED)
    if not len(mode[0]) or len(mode[0]) != len(sampled[0]):
        return []
    recent = mode[0] >= 0.75 * mode[0][-1]
    of_mode, of_samples = (values[recent][-3:] for _, values in (mode, sampled))
    returns = np.concatenate([column(rows, RETURN)[1], mode[1], sampled[1]])
    ahead = of_samples - of_mode
    if ahead.min() <= 0 or ahead.mean() <= limits.ahead * np.ptp(returns):
        return []
    what = f"mean return {short(of_samples.mean())} with samples, {short(of_mode.mean())} with the mode"
    return [Verdict("mode", WEAK_MODE, f"{what} ({len(ahead)} evaluation{'s' * (len(ahead) > 1)})")]


def _spiked(rows: LogRows, limits: Limits) -> Verdict | None:
    """The first KL spike that is followed by a lasting drop of the return; None: there is none."""
    steps, returns = column(rows, RETURN)
    at, kl = column(rows, KL)
    for i in range(5, len(kl)):
        usual = float(np.median(kl[max(0, i - 50) : i]))
        if kl[i] < max(limits.spike * usual, limits.spike_least):
            continue
        had, rest = returns[steps < at[i]], returns[steps >= at[i] + limits.lasting * steps[-1]]
        if len(had) < 3 or len(rest) < 3:
            continue
        start, best = had[:3].mean(), had[-10:].mean()
        gained = best - start
        # nine tenths of the rest, not all of it: one lucky row is not a recovery
        if gained > 5 * noise(had) and np.quantile(rest, 0.9) < best - limits.drop * gained:
            why = f"KL {kl[i]:.2g} at step {at[i]:,.0f}, {kl[i] / max(usual, 1e-9):.0f} times the median before it;"
            why = f"{why} the return then fell from {short(best)} to {short(rest.mean())} and did not recover"
            return Verdict("return", DESTROYED, why, int(at[i]))
    return None
