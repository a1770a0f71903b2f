"""P(better): how likely a run of an arm beats one of the baseline, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pgcontrol.measures.statistics import Interval, Pair, pairs_won, probability_of_improvement
from pgcontrol.text import short


def improved(pairs: Sequence[Pair]) -> tuple[float, float | None, float | None]:
    """P(better) of one or several tasks, and the bounds of its interval; None where there is no interval to speak of.

    Where all pairs are won or lost a bootstrap has nothing to resample, and that is no certainty; nor is what it makes
    of the other side's runs, where on every task a side has one run.
    """
    found = probability_of_improvement(pairs)
    alone = all(min(map(len, pair)) == 1 for pair in pairs)
    return found if found.low < found.high and not alone else (found.estimate, None, None)


def better(pairs: Sequence[Pair]) -> str:
    """The same in words; in place of an interval that is none, how many pairs are won."""
    estimate, low, high = improved(pairs)
    if low is not None and high is not None:
        return str(Interval(estimate, low, high))
    won, count = np.sum([pairs_won(*pair) for pair in pairs], 0)
    return f"{short(estimate)} ({won:g} of {count:g} pairs)"
