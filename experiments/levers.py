"""Which levers of levers.yaml, levers_reppo.yaml, levers_natural.yaml and levers_symmetric.yaml are kept.

    python experiments/levers.py

Writes NAME.kept.md from the committed rows of each. A lever pays on a task if its IQM is at least 5 % above the
baseline's, and hurts if an exact one-sided test finds it worse (p ≤ 0.05). It is kept if it pays on two tasks, hurts on
none, and p over all tasks is at most 0.05. A lever with two seeds is not judged: it gets six more, or is not kept.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from pgcontrol.charts.effects import signed  # noqa: E402
from pgcontrol.measures.families import Shares, compare  # noqa: E402
from pgcontrol.measures.statistics import Pair  # noqa: E402
from pgcontrol.reporting.queries import Queries  # noqa: E402
from pgcontrol.sweep import results  # noqa: E402
from pgcontrol.sweep.sweep import Sweep, read_sweep  # noqa: E402
from pgcontrol.text import p_value  # noqa: E402

NAMES = ("levers", "levers_reppo", "levers_natural", "levers_symmetric")
SHARE, LEVEL, TASKS = 0.05, 0.05, 2
# a lever gets more than its first seeds if its mean difference over the tasks is at least GO_ON; it is judged with all
GO_ON, FIRST, ALL = 0.1, 2, 8
WORDS = ("**yes**", "more seeds", "no")


class Lever(NamedTuple):
    """A lever and its differences from the baseline, or from another arm that the sweep's family names.

    Attributes:
        effects: task -> difference of the IQMs, as a share of the baseline's.
        worse: task -> one-sided p-value of "not worse", not corrected.
        p: twice the one-sided p-value of "not better" over all tasks together, not corrected.
        time: its seconds per step as a multiple of the baseline's, median over tasks.
        seeds: the least number of its runs on a task.
        base_seeds: the least number of the baseline's runs on a task.
    """

    name: str
    effects: dict[str, float]
    worse: dict[str, float]
    p: float
    time: float
    seeds: int
    base_seeds: int

    @property
    def pays(self) -> list[str]:
        """The tasks on which it pays."""
        return [task for task, share in self.effects.items() if share >= SHARE]

    @property
    def hurts(self) -> list[str]:
        """The tasks on which it hurts."""
        return [task for task, p in self.worse.items() if p <= LEVEL]

    @property
    def mean(self) -> float:
        """The mean difference over the tasks."""
        return float(np.mean([*self.effects.values()]))

    @property
    def word(self) -> str:
        """Whether the rule keeps it. It or the baseline may lack runs; then only two low seeds are a reason for no."""
        if self.base_seeds < ALL:
            return "more seeds"
        if self.seeds < ALL:
            return "no" if self.seeds == FIRST and self.mean < GO_ON else "more seeds"
        return "**yes**" if len(self.pays) >= TASKS and not self.hurts and self.p <= LEVEL else "no"


def lever(queries: Queries, arm: str) -> Lever | None:
    """An arm's differences from the arm with which the family compares it; None if it lacks a task."""
    base = queries.sweep.rival(arm)
    pairs = {env: (queries.scores(env, arm), queries.scores(env, base)) for env in queries.sweep.envs()}
    if not all(ours and theirs for ours, theirs in pairs.values()):
        return None
    times = [queries.rate(env, str(base)) / queries.rate(env, arm) for env in pairs]
    return judged(arm, pairs, float(np.median(times)))


def judged(arm: str, pairs: Mapping[str, Pair], time: float) -> Lever:
    """A lever from its scores and the baseline's, by task."""
    single = compare([[pair] for pair in pairs.values()], 0.1, paired=False)
    effects = {env: found.effect.estimate for env, found in zip(pairs, single, strict=True) if found}
    worse = {env: Shares.of([pair], paired=False).less(0) for env, pair in pairs.items()}
    ours, theirs = (min(map(len, scores)) for scores in zip(*pairs.values(), strict=True))
    p = min(1.0, 2 * Shares.of([*pairs.values()], paired=False).more(0))
    return Lever(arm, effects, worse, p, time, ours, theirs)


def table(levers: list[Lever], tasks: list[str]) -> str:
    """The levers as Markdown, those that are kept first."""
    lines = [f"| lever | {' | '.join(tasks)} | p, all tasks | time | seeds | kept |"]
    lines.append(f"|---|{'---:|' * (len(tasks) + 3)}---|")
    for one in sorted(levers, key=lambda one: (WORDS.index(one.word), -one.mean)):
        shares = [signed(one.effects[task]) for task in tasks]
        cells = one.name, *shares, p_value(one.p), f"{one.time:.2f}", str(one.seeds), one.word
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(sweep: Sweep) -> None:
    """Write the table of a sweep; nothing if no lever has runs on all tasks."""
    queries = Queries(sweep, results.reported(sweep))
    found = [one for arm in queries.arms() if arm != sweep.baseline and (one := lever(queries, arm))]
    if not found:
        return
    lead = f"# Which levers are kept\n\n`python experiments/levers.py`. {sweep.design['Rule']}\n\n"
    of = f"{len(found)} of {len(sweep.arms()) - 1} levers have runs on all tasks. Differences of the IQMs from the "
    others = [f"*{arm}* from *{rival}*" for arm, rival in sweep.family.against.items()]
    more = ", ".join([f"runs of *{sweep.baseline}*", *others]) + '; p: twice the one-sided p-value of "not better", '
    more += "without a correction; time per step as a multiple of the same.\n\n"
    sweep.path.with_suffix(".kept.md").write_text(lead + of + more + table(found, sweep.envs()))


def main() -> None:
    """Write the tables."""
    for name in NAMES:
        write(read_sweep(HERE / f"{name}.yaml"))


if __name__ == "__main__":
    main()
