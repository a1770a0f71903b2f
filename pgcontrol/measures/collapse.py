"""The verdict on the spread of a policy: healthy, sharp, suspected or collapsed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.measures.curves import RETURN, STEPS, LogRows, column, counts, smooth, spreads
from pgcontrol.measures.returns import Reach, far_below
from pgcontrol.measures.verdicts import COLLAPSED, HEALTHY, NOT_JUDGED, SHARP, SUSPECTED, Limits, Verdict
from pgcontrol.text import probability, short, with_error

# Widened branches that still rise are extrapolated by this many tenths of their length: training returns are means
# over 100 episodes, and lag behind the policy by about that much
LONGER = 2
HALVED = 2.0  # a spread that is lost has fallen by this factor or more at the end
HALF = 0.5  # ... and half of its fall was over before this fraction of the run's own gain


class Onset(NamedTuple):
    """When the smallest spread over joints fell below its limit and stayed there.

    Attributes:
        joints: joints that were narrow for at least half of the required time.
        spread: the smallest over joints, at the end of that time.
    """

    step: int
    joints: list[int]
    spread: float


class Spending(NamedTuple):
    """How much of the return's gain was made while the spread fell.

    Attributes:
        step: when half of the fall of the spread's logarithm was over.
        fall: ratio of the initial to the smallest spread.
        lasting: ratio of the initial to the last spread.
        gained: fraction of the return's gain that had been made by then.
        returned: the return at that step, in training.
    """

    step: int
    fall: float
    lasting: float
    gained: float
    returned: float


class Gain(NamedTuple):
    """The result of branches: how much better a run ends if its policy is widened at a step.

    Attributes:
        half: half-width of the gain's interval (Welch), 95 % for all places of the run together.
        better: probability that a widened branch beats an unchanged one, with its 95 % interval.
        scale: range of the return in the run and in its branches.
        catching_up: gain of the widened branches on the others between the last two tenths of the branches.
        step: first step of the branches.
    """

    gain: float
    half: float
    better: tuple[float, float, float]
    seeds: int
    scale: float
    catching_up: float = 0.0
    step: int = 0


def onset(steps: np.ndarray, spread: np.ndarray, budget: int, limits: Limits) -> Onset | None:
    """The first step from which some joint is narrow for the fraction `lasting` of the budget, or None.

    Args:
        steps: [n].
        spread: [n, A], in half-ranges.
        budget: environment steps of the whole run.
        limits: thresholds for "narrow" and its duration.
    """
    if not len(steps):
        return None
    narrow = spread < limits.narrow(spread[0])
    wide_again = [*np.flatnonzero(~narrow.any(1)), len(steps)]
    begin = 0
    for end in wide_again:
        enough = np.flatnonzero(steps[begin:end] >= steps[begin] + limits.lasting * budget) if end > begin else []
        if len(enough):
            often = narrow[begin : begin + enough[0] + 1].mean(0)
            joints = np.flatnonzero(often >= min(0.5, often.max()))  # joints may alternate, each below half the time
            return Onset(int(steps[begin]), joints.tolist(), float(spread[begin + enough[0]].min()))
        begin = end + 1
    return None


def spending(spread: tuple[np.ndarray, np.ndarray], returned: tuple[np.ndarray, np.ndarray]) -> Spending | None:
    """How much of the return's gain had been made when half of the spread was lost; None: the curves do not show it.

    The spread is the geometric mean over joints, so that halving any joint has the same weight.

    Args:
        spread: steps [n] and spread of each joint [n, A].
        returned: steps [m] and returns [m], in training.
    """
    (steps, each), (at, returns) = spread, returned
    if len(steps) < 2 or len(at) < 5:
        return None
    logs = np.log(np.maximum(each, 1e-6)).mean(1)
    fall = logs[0] - logs.min()
    if fall <= 0:
        return None
    step = steps[np.argmax(logs <= logs[0] - fall / 2)]
    curve = smooth(returns)
    gain = curve.max() - curve[0]
    then = float(np.interp(step, at, curve))
    gained = (then - curve[0]) / gain if gain > 0 else 0.0
    lasting = float(np.exp(logs[0] - logs[-1]))
    return Spending(int(step), float(np.exp(fall)), lasting, float(np.clip(gained, 0, 1)), then)


def lost_early(
    spread: tuple[np.ndarray, np.ndarray],
    returned: tuple[np.ndarray, np.ndarray],
    limits: Limits,
    reach: Reach | None,
) -> tuple[str, int] | None:
    """Why a run lost its spread before it learned, and when; None: it did not, or there is nothing to compare it with.

    It ends far below what other runs reached, and with half of its first spread or less. Half of the spread's fall was
    over before the run had made half of its own gain, and the fraction `early` of the way from its first return to
    theirs. The curves are those of `spending`.
    """
    _, returns = returned
    if reach is None or not len(returns) or not far_below(returns, reach.value, limits):
        return None
    spent, start = spending(spread, returned), returns[:3].mean()
    if spent is None or spent.lasting < HALVED:
        return None
    if spent.gained >= HALF or spent.returned - start >= limits.early * (reach.value - start):
        return None
    why = f"the spread fell by a factor of {spent.fall:.1f}; half of this fall was over at step {spent.step:,}"
    why = f"{why}, when the return was {short(spent.returned)}; {reach.whose} reached {short(reach.value)}"
    return why, spent.step


def collapse(
    rows: LogRows,
    budget: int,
    limits: Limits,
    gains: Sequence[Gain] = (),
    joints: Sequence[str] = (),
    reach: Reach | None = None,
) -> Verdict:
    """healthy, sharp, suspected or collapsed.

    Args:
        rows: rows of metrics.jsonl.
        budget: environment steps of the whole run.
        limits: thresholds.
        gains: results of branches, for each place where some begin.
        joints: names of the joints; without them joints have numbers.
        reach: what other runs reached.
    """
    steps, spread = spreads(rows)
    if not len(steps):
        return Verdict("spread", NOT_JUDGED, "the log does not contain it")
    found = onset(steps, spread, budget, limits)
    early = lost_early((steps, spread), column(rows, RETURN), limits, reach)
    of_branches = _proved(gains, limits) if gains else None
    decided = of_branches is not None and of_branches[0] != SUSPECTED
    if found is None:
        where = f"smallest joint spread at the end {spread[-1].min():.3g} half-ranges"
        if of_branches:
            word, why, step = _widened(of_branches, gains, limits, early)
        else:
            word, why, step = (SUSPECTED, *early) if early else (HEALTHY, "", None)
        why = f"{where}; {why}" if why else where
        return Verdict("spread", word, why, step, branched=bool(gains), proved=decided)
    names = tuple(joints[j] if j < len(joints) else f"joint {j}" for j in found.joints)
    where = f"from step {found.step:,}, spread {found.spread:.2g} in {', '.join(names)}"
    if of_branches:
        word, why = of_branches
    else:
        word, why = _suspected(rows, budget, found, limits)
        if word == SHARP and early:
            word, why = SUSPECTED, early[0]
    return Verdict("spread", word, f"{where}; {why}", found.step, names, bool(gains), decided)


def _widened(
    proved: tuple[str, str], gains: Sequence[Gain], limits: Limits, early: tuple[str, int] | None
) -> tuple[str, str, int | None]:
    """The word for a run without an onset: collapsed or suspected if branches find a cost, else healthy.

    Undecided branches are a reason to suspect one if the gain is large enough and widened branches usually end higher.
    A run that lost its spread early stays suspected until branches exclude a cost.
    """
    word, why = proved
    if word == SUSPECTED and early:
        return word, f"{early[0]}; {why}", early[1]
    likely = [gain.step for gain in gains if gain.gain > limits.rising * gain.scale and gain.better[1] > 0.5]
    if word == COLLAPSED or (word == SUSPECTED and likely):
        return word, why, gains[-1].step if word == COLLAPSED else likely[0]
    return HEALTHY, why, None


def _proved(gains: Sequence[Gain], limits: Limits) -> tuple[str, str]:
    """The most serious word of any place."""
    found = [_proved_at(gain, limits) for gain in gains]
    for word in (COLLAPSED, SUSPECTED):
        if said := [why for which, why in found if which == word]:
            return word, "; ".join(said)
    return SHARP, "; ".join(why for _, why in found)


def _proved_at(gain: Gain, limits: Limits) -> tuple[str, str]:
    """Collapsed: a significant cost that is large enough. Sharp: no large cost is possible."""
    least = limits.rising * gain.scale
    low, high = gain.gain - gain.half, gain.gain + gain.half
    p, least_p, most_p = map(probability, gain.better)
    higher = f"a widened branch ends higher than an unchanged one with probability {p}, {least_p} … {most_p}"
    measured = f"{with_error(gain.gain, gain.half)} ({higher}; {gain.seeds} branches each)"
    where = f"widened at step {gain.step:,}"
    if low > 0 and gain.gain > least and gain.better[1] > 0.5:
        return COLLAPSED, f"{where} it ends higher: cost {measured}"
    if not high < least:  # also if a score is not a number
        more = f"--branches {2 * gain.seeds} may decide"
        return SUSPECTED, f"the branches do not decide it, {more}: {where} it gains {measured}"
    if gain.gain + LONGER * gain.catching_up > least:
        return SUSPECTED, f"the branches are too short: {where} they still rise, and gain {measured}"
    return SHARP, f"harmless: {where} it gains {measured}"


def _suspected(rows: LogRows, budget: int, found: Onset, limits: Limits) -> tuple[str, str]:
    steps, returns = column(rows, RETURN)
    if len(steps) < 5:
        return SUSPECTED, "there is no return in the log to judge it by"
    curve = smooth(returns)
    start, at, end = returns[:3].mean(), np.interp(found.step, steps, returns), curve[-1]
    before = np.interp(found.step - 0.1 * budget, steps, returns)
    least = counts(returns, limits.rising)
    rate_before = (at - start) / max(found.step - steps[0], 1.0)
    rate_after = (end - at) / max(steps[-1] - found.step, 1.0)
    stalled = at - before > least and rate_after < limits.slower * rate_before
    from_start = found.step <= rows[0][STEPS] + limits.lasting * budget
    doubts = {
        "the return fell after it": end - returns[steps <= max(found.step, steps[0])].max() < -least,
        "the return rose after it and fell again": end - curve[steps >= found.step].max(initial=end) < -least,
        "the return did not rise before or after it": end - start < least,
        "the return was rising before it, and stopped rising": stalled,
        "nothing had been learned before it": at - start < least and rate_after * budget < least,
        "it was narrow from the start; the log cannot show what a wider policy would learn": from_start,
    }
    if doubt := next((why for why, holds in doubts.items() if holds), None):
        return SUSPECTED, doubt
    return SHARP, "the return still rose after it" if end - at > least else "the return had levelled off before it"
