"""Verdicts: a word on each question about a run, and why; docs/diagnosis.md defends them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pgcontrol.options import option

HEALTHY, NOT_JUDGED, FEWER_ROUTES = "healthy", "not judged", "fewer routes"
STUCK, WEAK_MODE = "stuck", "weak mode"


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
    short_of: float = option(0.5, "a run is stuck below this share of the way to what others reached", above=0, below=1)
    ahead: float = option(0.1, "the mode is weak if samples beat it by this share of all the return did", above=0)
    uneven: float = option(0.5, "routes are fewer when their entropy in training ends below this", least=0, below=1)

    def narrow(self, start: np.ndarray) -> np.ndarray:
        """The spread below which each joint is narrow, from its spread at the start: [A] -> [A], in half-ranges."""
        return np.maximum(self.share, self.of_start * start)


class Verdict(NamedTuple):
    """A word on one question, and why.

    Attributes:
        about: the question: the spread, the mode, the return, the routes, or the choice of a route.
        joints: names of those that it is about.
        proved: whether a counterfactual says it.
    """

    about: str
    word: str
    why: str
    step: int | None = None
    joints: tuple[str, ...] = ()
    proved: bool = False


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
    """The end of a line: the command that finds out what the spread cost, where that is in doubt and not yet known."""
    known = any(v.about == "spread" and v.proved for v in verdicts)
    doubt = any(v.word == STUCK or (v.about == "spread" and v.step is not None) for v in verdicts)
    return f"; did the spread cost it something? {diagnose} --branches 5" if doubt and not known else ""


def words(verdicts: Sequence[Verdict]) -> str:
    """The words alone, for tables."""
    if told := ill(verdicts):
        return ", ".join(v.word for v in reversed(told))
    return HEALTHY if any(v.word == HEALTHY for v in verdicts) else NOT_JUDGED
