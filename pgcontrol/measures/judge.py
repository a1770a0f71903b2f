"""All verdicts on a run, from its log and from other information."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgcontrol.measures.collapse import Gain, collapse
from pgcontrol.measures.curves import BAD, OUTLIERS, RETURN, ROUTES, LogRows, column, smooth
from pgcontrol.measures.returns import Reach, learning, played
from pgcontrol.measures.verdicts import FEWER_ROUTES, HEALTHY, NOT_JUDGED, Limits, Verdict
from pgcontrol.text import count


@dataclass(frozen=True)
class Known:
    """What is known about a run in addition to its log.

    Attributes:
        joints: names of the joints; joints without a name have numbers.
        gains: results of branches, for each place where some begin.
        reach: what other runs reached after as many steps.
    """

    joints: Sequence[str] = ()
    gains: Sequence[Gain] = ()
    reach: Reach | None = None


def routes(rows: LogRows, limits: Limits) -> list[Verdict]:
    """Whether training episodes ended on few of the task's routes; empty if the log does not contain it."""
    _, entropy = column(rows, ROUTES)
    if not len(entropy):
        return []
    end = float(smooth(entropy)[-1])
    word = FEWER_ROUTES if end < limits.uneven else HEALTHY
    return [Verdict("routes", word, f"entropy {end:.2f} of the last episodes' routes; 1: all equally often")]


def numbers(rows: LogRows) -> list[Verdict]:
    """Transitions that were excluded from learning, and outliers that were bounded; empty if there are none."""
    bad = sum(column(rows, BAD)[1])
    steps, outliers = column(rows, OUTLIERS)
    found = [f"{count(int(bad), 'transition')} in quarantine"] if bad else []
    if outliers.any():
        found.append(f"outliers bounded in {(outliers > 0).sum()} updates, first at step {steps[outliers > 0][0]:,.0f}")
    return [Verdict("numbers", HEALTHY, ", ".join(found))] if found else []


def judge(
    rows: LogRows, budget: int, status: str, limits: Limits | None = None, known: Known | None = None
) -> list[Verdict]:
    """All verdicts: on the spread and the return, and on the mode, routes and bad numbers if the log contains them.

    A run with too few returns is not judged, except for bad numbers.

    Args:
        rows: rows of metrics.jsonl.
        budget: environment steps of the whole run.
        status: status in the manifest.
        limits: thresholds.
        known: further information.
    """
    limits, known = limits or Limits(), known or Known()
    returned = learning(rows, status, limits, known.reach)
    if returned.word == NOT_JUDGED and len(column(rows, RETURN)[0]) and not known.gains:
        # too short to judge anything; a clone has no returns, and branches have judged the spread
        return [returned, *numbers(rows)]
    spread = collapse(rows, budget, limits, known.gains, known.joints, known.reach)
    return [spread, *played(rows, limits), returned, *routes(rows, limits), *numbers(rows)]
