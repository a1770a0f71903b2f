"""Verdicts: a word for each question about a run, with the reason. docs/diagnosis.md explains them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.options import option

HEALTHY, NOT_JUDGED, FEWER_ROUTES = "healthy", "not judged", "fewer routes"
STUCK, WEAK_MODE = "stuck", "weak mode"
SHARP, SUSPECTED, COLLAPSED = "sharp", "suspected", "collapsed"
NO_GAIN, DECLINED, DESTROYED = "no gain", "declined", "destroyed"

# what is or may be wrong, for readers of reports
MEANINGS = {
    COLLAPSED: "branches proved that the small spread cost return",
    SUSPECTED: "the spread became small or fell early, and the return gives a reason to suspect that it cost something",
    SHARP: "the spread of a joint became small, without such a reason",
    STUCK: "the return stays constant, far below what other runs reached",
    NO_GAIN: "the final return is not above the initial one",
    DECLINED: "the run lost more than half of its best gain",
    DESTROYED: "no gain, or most of it lost, because of too large updates",
    WEAK_MODE: "the mode scores less than samples",
    FEWER_ROUTES: "the run uses fewer routes than the reference",
}


@dataclass(frozen=True)
class Limits:
    """The thresholds of verdicts."""

    share: float = option(0.05, "a joint is narrow below this spread, in half-ranges", above=0, below=1)
    of_start: float = option(0.1, "... or below this fraction of its initial spread", least=0, below=1)
    lasting: float = option(0.05, "fraction of the budget for which it must stay narrow", least=0, below=1)
    rising: float = option(0.1, "smallest change of the return that counts, as a fraction of its range", above=0)
    slower: float = option(0.25, "learning has stalled below this fraction of its earlier rate", above=0, below=1)
    spike: float = option(10.0, "an update's KL is a spike above this multiple of the median before", above=1)
    spike_least: float = option(0.05, "... and above this KL, in nats", above=0)
    large: float = option(1.0, "median KL above which updates replace the policy, in nats", above=0)
    drop: float = option(
        0.5, "declined, or destroyed by a spike, if this fraction of the gain is lost", above=0, below=1
    )
    short_of: float = option(
        0.5, "a run is far below others after less than this fraction of the way to what they reached", above=0, below=1
    )
    early: float = option(
        0.25, "... and lost its spread early if half of the fall came before this fraction of it", above=0, below=1
    )
    ahead: float = option(0.1, "the mode is weak if samples beat it by this fraction of the return's range", above=0)
    uneven: float = option(0.5, "entropy of the routes in training below which there are few", least=0, below=1)

    def narrow(self, start: np.ndarray) -> np.ndarray:
        """The spread below which each joint is narrow, for its initial spread: [A] -> [A], in half-ranges."""
        return np.maximum(self.share, self.of_start * start)


class Verdict(NamedTuple):
    """A word for one question, with the reason.

    Attributes:
        about: the question: the spread, the mode, the return, the routes, or the choice of a route.
        joints: names of the affected joints.
        branched: whether it is based on branches.
        proved: whether branches decided it.
    """

    about: str
    word: str
    why: str
    step: int | None = None
    joints: tuple[str, ...] = ()
    branched: bool = False
    proved: bool = False


def ill(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that something is or may be wrong, the most serious (judged last) first."""
    return [v for v in reversed(verdicts) if v.word not in (HEALTHY, NOT_JUDGED)]


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line: what is wrong and why, or that all is well."""
    if wrong := ill(verdicts):
        return "; ".join(f"{v.word} ({v.why})" for v in wrong)
    word = words(verdicts)
    well = [f"{v.about}: {v.why}" if v.word in (word, HEALTHY) else f"{v.about} {v.word} ({v.why})" for v in verdicts]
    return f"{word} ({'; '.join(well)})"


def to_prove(diagnose: str, verdicts: Sequence[Verdict]) -> str:
    """The end of a line: the command that measures what the spread cost, if that is in doubt and not known yet."""
    doubt = any(v.word == STUCK or (v.about == "spread" and v.step is not None) for v in verdicts)
    known = any(v.branched for v in verdicts)
    return f"; to see whether the spread cost something: {diagnose} --branches 5" if doubt and not known else ""


def record(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What a run's manifest keeps of its verdicts."""
    proved = any(v.proved for v in verdicts)
    return {"verdict": words(verdicts), "diagnosis": summary(verdicts), "proved": proved}


def words(verdicts: Sequence[Verdict]) -> str:
    """Only the words, for tables."""
    if wrong := ill(verdicts):
        return ", ".join(v.word for v in reversed(wrong))
    return HEALTHY if any(v.word == HEALTHY and v.about != "numbers" for v in verdicts) else NOT_JUDGED
