"""Words for what happened to the spread, the return and the routes, from a log; docs/diagnosis.md defends them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.options import option
from pgcontrol.text import count, short

LogRows = Sequence[dict[str, Any]]
# tenths of a branch for which widened branches that still rise are taken to go on rising: returns in training are
# means over 100 episodes, and lag that far behind the policy
LONGER = 2
STEPS, RETURN, KL, ROUTES = "time/total_timesteps", "rollout/ep_rew_mean", "train/kl", "health/route_entropy"
BAD, OUTLIERS = "rollout/quarantined", "rollout/outliers"
HEALTHY, NOT_JUDGED, FEWER_ROUTES = "healthy", "not judged", "fewer routes"


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
    large: float = option(1.0, "updates whose median KL is above this, in nats, replace the policy", above=0)
    drop: float = option(0.5, "... when this share of all it had gained is lost for good", above=0, below=1)
    uneven: float = option(0.5, "routes are fewer when their entropy in training ends below this", least=0, below=1)

    def narrow(self, start: np.ndarray) -> np.ndarray:
        """The spread below which each joint is narrow, from its spread at the start: [A] -> [A], in half-ranges."""
        return np.maximum(self.share, self.of_start * start)


class Onset(NamedTuple):
    """When the least spread over joints came under its limit to stay there.

    Attributes:
        joints: those that were narrow for at least half of the time that it had to last.
        spread: the least over joints, at the end of that time.
    """

    step: int
    joints: list[int]
    spread: float


class Gain(NamedTuple):
    """What a counterfactual says: how much better it ends when the policy is widened at the onset.

    Attributes:
        half: half of the gain's 95 % interval (Welch).
        better: probability that a widened branch beats one left alone, with its interval.
        scale: range of the return in the run and in its branches.
        catching_up: how much the widened arm gained on the other between the last two tenths of the branches.
    """

    gain: float
    half: float
    better: tuple[float, float, float]
    seeds: int
    scale: float
    catching_up: float = 0.0


class Verdict(NamedTuple):
    """A word on one question, and why.

    Attributes:
        about: the question: the spread, the return, the routes, or the choice of a route.
        proved: whether a counterfactual says it.
    """

    about: str
    word: str
    why: str
    step: int | None = None
    joints: tuple[int, ...] = ()
    proved: bool = False


def column(rows: LogRows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values [n] of the rows that have the metric."""
    found = [(row[STEPS], row[name]) for row in rows if row.get(name) is not None]
    steps, values = zip(*found, strict=True) if found else ((), ())
    return np.array(steps, float), np.array(values, float)


def spreads(rows: LogRows) -> tuple[np.ndarray, np.ndarray]:
    """Steps [n] and each joint's spread [n, A], in half-ranges, at the states that were visited then.

    Not at those of the first rollout: where a policy no longer goes, its mean drifts out of the bounds, and what is
    clipped has no spread.
    """
    name = "health/visited_spread_joint"
    measured = [row for row in rows if row.get(f"{name}0") is not None]
    joints = len([key for key in measured[0] if key.startswith(name)]) if measured else 0
    each = [[row[f"{name}{j}"] for j in range(joints)] for row in measured]
    return np.array([row[STEPS] for row in measured], float), np.array(each, float).reshape(len(measured), joints)


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
    narrow = spread < limits.narrow(spread[0])
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


def collapse(rows: LogRows, budget: int, limits: Limits, gain: Gain | None = None) -> Verdict:
    """healthy, sharp, suspected or collapsed.

    Args:
        rows: of metrics.jsonl.
        budget: environment steps of the whole run.
        limits: what counts as what.
        gain: what the counterfactual says, if there was one.
    """
    steps, spread = spreads(rows)
    if not len(steps):
        return Verdict("spread", NOT_JUDGED, "no log of it")
    found = onset(steps, spread, budget, limits)
    if found is None:
        return Verdict("spread", HEALTHY, f"least of a joint at the end {spread[-1].min():.3g} half-ranges")
    joints = f"joint{'s' * (len(found.joints) > 1)} {', '.join(map(str, found.joints))}"
    where = f"from step {found.step:,} on, spread {found.spread:.2g} in {joints}"
    word, why = _proved(gain, limits) if gain else _suspected(rows, budget, found, limits)
    return Verdict("spread", word, f"{where}; {why}", found.step, tuple(found.joints), gain is not None)


def _proved(gain: Gain, limits: Limits) -> tuple[str, str]:
    """Collapsed: it surely cost something, and something that counts. Sharp: surely nothing that counts."""
    counts = limits.rising * gain.scale
    low, high = gain.gain - gain.half, gain.gain + gain.half
    better = f"P(better) {gain.better[0]:.2f} ({gain.better[1]:.2f} … {gain.better[2]:.2f})"
    measured = f"{short(gain.gain)} ± {short(gain.half)} ({better}, {gain.seeds} branches each)"
    if low > 0 and gain.gain > counts and gain.better[1] > 0.5:
        return "collapsed", f"widened there it ends better: cost {measured}"
    if high >= counts:
        more = f"--branches {2 * gain.seeds} may"
        return "suspected", f"branches cannot tell, {more}: widened there it gains {measured}"
    if gain.gain + LONGER * gain.catching_up > counts:
        return "suspected", f"branches are too short to tell: the widened still rise, and gain {measured}"
    return "sharp", f"harmless: widened there it gains {measured}"


def _suspected(rows: LogRows, budget: int, found: Onset, limits: Limits) -> tuple[str, str]:
    steps, returns = column(rows, RETURN)
    if len(steps) < 5:
        return "suspected", "no return to judge it by"
    curve = _smooth(returns)
    start, at, end = returns[:3].mean(), np.interp(found.step, steps, returns), curve[-1]
    before = np.interp(found.step - 0.1 * budget, steps, returns)
    counts = _counts(returns, limits)
    rate_before = (at - start) / max(found.step - steps[0], 1.0)
    rate_after = (end - at) / max(steps[-1] - found.step, 1.0)
    stalled = at - before > counts and rate_after < limits.slower * rate_before
    from_start = found.step <= rows[0][STEPS] + limits.lasting * budget
    doubts = {
        "the return fell from then on": end - returns[steps <= max(found.step, steps[0])].max() < -counts,
        "the return rose on and fell again": end - curve[steps >= found.step].max(initial=end) < -counts,
        "it had not learned before, nor did it after": end - start < counts,
        "the return was rising when it came, and rose no more": stalled,
        "nothing had been learned when it came": at - start < counts and rate_after * budget < counts,
        "it was narrow from the start, and nothing says what it would have learned wider": from_start,
    }
    if doubt := next((why for why, holds in doubts.items() if holds), None):
        return "suspected", doubt
    return "sharp", "the return rose on" if end - at > counts else "the return had levelled off before"


def learning(rows: LogRows, status: str, limits: Limits) -> Verdict:
    """What became of the return: destroyed, declined, no gain, or healthy.

    Destroyed says that updates did it: one whose KL is a spike, with a drop behind it that does not recover, or all of
    them, where the median KL is so large that each replaces the policy. Declined is the same loss without that ground.

    Args:
        rows: of metrics.jsonl.
        status: the manifest's.
        limits: what counts as what.
    """
    if status == "diverged":
        return Verdict("return", "destroyed", "numbers stopped being finite", int(rows[-1][STEPS]) if rows else None)
    steps, returns = column(rows, RETURN)
    if len(steps) < 10:
        return Verdict("return", NOT_JUDGED, f"{len(steps)} returns in the log")
    if spike := _spiked(rows, limits):
        return spike
    curve, kl = _smooth(returns), column(rows, KL)[1]
    start, best, end = returns[:3].mean(), curve.max(), curve[-1]
    told = f"from {short(start)} by {short(best)} to {short(end)}"
    lost = best - end > limits.drop * (best - start) and best - start > 5 * noise(returns)
    if not lost and end - start >= _counts(returns, limits):
        return Verdict("return", HEALTHY, f"from {short(start)} to {short(end)}")
    if len(kl) and (usual := float(np.median(kl))) > limits.large:
        return Verdict("return", "destroyed", f"updates of {usual:.2g} nats in the median; the return went {told}")
    at = int(steps[curve.argmax()])
    return Verdict("return", "declined", told, at) if lost else Verdict("return", "no gain", told)


def _spiked(rows: LogRows, limits: Limits) -> Verdict | None:
    """The first KL spike behind which a drop of the return does not recover; None: there is none."""
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
        # nine tenths of the rest, not all of it: one lucky row is no recovery
        if gained > 5 * noise(had) and np.quantile(rest, 0.9) < best - limits.drop * gained:
            why = f"KL {kl[i]:.2g} at step {at[i]:,.0f}, {kl[i] / max(usual, 1e-9):.0f} times the median before;"
            why = f"{why} the return fell from {short(best)} to {short(rest.mean())} for good"
            return Verdict("return", "destroyed", why, int(at[i]))
    return None


def routes(rows: LogRows, limits: Limits) -> list[Verdict]:
    """Whether episodes of the training ended on few of the task's routes; nothing where the log does not say."""
    _, entropy = column(rows, ROUTES)
    if not len(entropy):
        return []
    end = float(_smooth(entropy)[-1])
    word = FEWER_ROUTES if end < limits.uneven else HEALTHY
    return [Verdict("routes", word, f"entropy {end:.2f} of the routes of the last episodes, 1: all alike")]


def numbers(rows: LogRows) -> list[Verdict]:
    """Transitions that nobody learned from, and outliers that the running moments bounded; nothing without any."""
    bad = sum(column(rows, BAD)[1])
    steps, outliers = column(rows, OUTLIERS)
    found = [f"{count(int(bad), 'transition')} in quarantine"] if bad else []
    if outliers.any():
        found.append(f"outliers bounded in {(outliers > 0).sum()} updates, first at step {steps[outliers > 0][0]:,.0f}")
    return [Verdict("numbers", HEALTHY, ", ".join(found))] if found else []


def _smooth(values: np.ndarray) -> np.ndarray:
    """Each value as the mean of the twentieth of the run that ends with it."""
    window = max(1, len(values) // 20)
    return np.array([values[max(0, last - window) : last].mean() for last in range(1, len(values) + 1)])


def _counts(returns: np.ndarray, limits: Limits) -> float:
    """The least change of the return that counts."""
    return max(limits.rising * float(np.ptp(returns)), 3 * noise(returns))


def noise(returns: np.ndarray) -> float:
    """What a curve moves between neighbouring rows by chance: the median absolute change, as a deviation."""
    return float(1.48 * np.median(np.abs(np.diff(returns)))) if len(returns) > 1 else 0.0


def judge(
    rows: LogRows, budget: int, status: str, limits: Limits | None = None, gain: Gain | None = None
) -> list[Verdict]:
    """All that the log says: of the spread and the return, and of routes and of bad numbers where there are some.

    Args:
        rows: of metrics.jsonl.
        budget: environment steps of the whole run.
        status: the manifest's.
        limits: what counts as what.
        gain: what a counterfactual says of the spread.
    """
    limits = limits or Limits()
    seen = [collapse(rows, budget, limits, gain), learning(rows, status, limits)]
    return [*seen, *routes(rows, limits), *numbers(rows)]


def ill(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that say that something is wrong, or may be: the gravest, which were judged last, first."""
    return [v for v in reversed(verdicts) if v.word not in (HEALTHY, NOT_JUDGED)]


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line: what is wrong and why, or else all that is well."""
    if told := ill(verdicts):
        return "; ".join(f"{v.word} ({v.why})" for v in told)
    well = [f"{v.about} {v.word} ({v.why})" if v.word != HEALTHY else f"{v.about}: {v.why}" for v in verdicts]
    return f"{words(verdicts)} ({'; '.join(well)})"


def to_prove(diagnose: str, verdicts: Sequence[Verdict]) -> str:
    """The end of a line: the command that says what an onset cost, or nothing where there is none, or it was given."""
    open_ = [v for v in verdicts if v.about == "spread" and v.step is not None and not v.proved]
    return f"; what it cost: {diagnose} --branches 5" if open_ else ""


def words(verdicts: Sequence[Verdict]) -> str:
    """The words alone, for tables."""
    if told := ill(verdicts):
        return ", ".join(v.word for v in reversed(told))
    return HEALTHY if any(v.word == HEALTHY for v in verdicts) else NOT_JUDGED
