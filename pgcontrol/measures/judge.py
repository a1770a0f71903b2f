"""All that a log says of a run, and what is known besides."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgcontrol.measures.collapse import Gain, collapse
from pgcontrol.measures.curves import BAD, OUTLIERS, ROUTES, LogRows, column, smooth
from pgcontrol.measures.returns import Reach, learning, played
from pgcontrol.measures.verdicts import FEWER_ROUTES, HEALTHY, Limits, Verdict
from pgcontrol.text import count


@dataclass(frozen=True)
class Known:
    """What is known of a run besides its log.

    Attributes:
        joints: their names; those that are missing have numbers.
        gains: what branches say, of each place where some begin.
        reach: what others came to in as many steps.
    """

    joints: Sequence[str] = ()
    gains: Sequence[Gain] = ()
    reach: Reach | None = None


def routes(rows: LogRows, limits: Limits) -> list[Verdict]:
    """Whether episodes of the training ended on few of the task's routes; nothing where the log does not say."""
    _, entropy = column(rows, ROUTES)
    if not len(entropy):
        return []
    end = float(smooth(entropy)[-1])
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


def judge(
    rows: LogRows, budget: int, status: str, limits: Limits | None = None, known: Known | None = None
) -> list[Verdict]:
    """All verdicts: on the spread and the return, and on the mode, routes and bad numbers where there is ground.

    Args:
        rows: of metrics.jsonl.
        budget: environment steps of the whole run.
        status: the manifest's.
        limits: what counts as what.
        known: what is known besides.
    """
    limits, known = limits or Limits(), known or Known()
    spread = collapse(rows, budget, limits, known.gains, known.joints)
    seen = [spread, *played(rows, limits), learning(rows, status, limits, known.reach)]
    return [*seen, *routes(rows, limits), *numbers(rows)]
