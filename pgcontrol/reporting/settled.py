"""What the family of comparisons settles: the answer in words, the picture, and the table."""

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from pgcontrol.charts.chart import sheet
from pgcontrol.charts.effects import Effect, Look, effects, signed
from pgcontrol.measures import families
from pgcontrol.measures.families import BETTER, EQUAL, OPEN, POWER, WORSE, Compared
from pgcontrol.measures.statistics import LEVEL, Pair
from pgcontrol.reporting.figures import Figure
from pgcontrol.reporting.narrative import Paragraph, listed
from pgcontrol.reporting.queries import Queries, percent
from pgcontrol.sweep.family import TOGETHER
from pgcontrol.text import count, p_value, short

LOOKS = {BETTER: Look("c2", "up"), WORSE: Look("c1", "down"), EQUAL: Look("c0", "square"), OPEN: Look("failed", "ring")}
MANY = 1000  # of more seeds, the number is not written
SIGNS = {BETTER: "▲", WORSE: "▼", EQUAL: "■", OPEN: "○"}  # the same shapes in text
# columns of the table: the difference with its joint interval, corrected p-values for a difference and for one that is
# smaller than the margin, seeds of both arms, and how many seeds would tell the margin apart
COLUMNS = ("task", "arm", "difference", "p (different)", "p (equal)", "seeds", "seeds needed", "result")

TOGETHER_MEANS = (
    "the same tests, over the sum of the pairs that an arm wins on each task; the difference is the median of all "
    "pairs, so an arm can be equal to another on all tasks together and not on one of them"
)


class Contrast(NamedTuple):
    """A comparison of the family that has runs: of an arm with the baseline, or with the arm that the family names."""

    env: str
    arm: str
    rival: str
    label: str
    compared: Compared

    @property
    def word(self) -> str:
        return self.compared.word

    @property
    def seeds(self) -> tuple[int, int]:
        """The number of runs of both arms, on the task with the fewest."""
        ours, theirs = (min(map(len, scores)) for scores in zip(*self.compared.tasks, strict=True))
        return ours, theirs

    @property
    def difference(self) -> str:
        """The difference and its interval as text; without an interval if it is infinite on both sides."""
        estimate, low, high = map(signed, self.compared.effect)
        bounded = any(map(math.isfinite, self.compared.effect[1:]))
        return f"{estimate} ({low} … {high})" if bounded else estimate


@lru_cache(maxsize=16)
def contrasts(queries: Queries) -> list[Contrast]:
    """The comparisons that have runs, in the order of the YAML."""
    family = queries.sweep.family
    pairs = {where: _pair(queries, *where) for where in queries.sweep.comparisons() if where[0] != TOGETHER}
    found = list[Contrast]()
    for asked in _families(queries):
        compared = families.compare([_scores(pairs, *where) for where in asked], family.margin, family.paired)
        found += [_contrast(queries, *where, one) for where, one in zip(asked, compared, strict=True) if one]
    return found


def _contrast(queries: Queries, env: str, arm: str, compared: Compared) -> Contrast:
    rival = str(queries.sweep.rival(arm))
    return Contrast(env, arm, rival, arm if rival == queries.sweep.baseline else f"{arm} − {rival}", compared)


def rivals(queries: Queries) -> str:
    """What arms are compared with, as text."""
    found = dict.fromkeys(f.rival for f in contrasts(queries))
    others = "the arm after the minus sign"
    base = [str(queries.sweep.baseline)] if queries.sweep.baseline in found else []
    return " or ".join(base + [others] * (len(found) > len(base)))


def _families(queries: Queries) -> list[list[tuple[str, str]]]:
    """The (task, arm) that are corrected for their number: those over all tasks together, and those on single tasks."""
    asked = queries.sweep.comparisons()
    both = ([where for where in asked if (where[0] == TOGETHER) == together] for together in (True, False))
    return [*filter(None, both)]


def _counted(queries: Queries) -> str:
    """The sizes of the families, as text."""
    first, *second = (count(len(family), "comparison") for family in _families(queries))
    return f"{first} on {TOGETHER}, and separately for {second[0]} on single tasks" if second else first


def _scores(pairs: dict[tuple[str, str], Pair | None], env: str, arm: str) -> list[Pair] | None:
    """The scores of a comparison, for each of its tasks; None if some have no runs yet."""
    found = [pair for (task, name), pair in pairs.items() if name == arm and env in (task, TOGETHER)]
    known = [pair for pair in found if pair]
    return known if len(known) == len(found) else None


def _pair(queries: Queries, env: str, arm: str) -> Pair | None:
    """The scores of an arm and of its rival; if they are paired, those of common seeds in the same order."""
    ours, theirs = (
        {row.seed: queries.compared(row) for row in queries.of(env, a)} for a in (arm, queries.sweep.rival(arm))
    )
    if queries.sweep.family.paired:
        seeds = sorted(ours.keys() & theirs.keys())
        ours, theirs = ({seed: side[seed] for seed in seeds} for side in (ours, theirs))
    return ([*ours.values()], [*theirs.values()]) if ours and theirs else None


def answer(queries: Queries) -> Paragraph:
    """The paragraph that answers the question; empty if the sweep compares nothing."""
    found, of = contrasts(queries), len(queries.sweep.comparisons())
    if not found:
        return Paragraph("", "")
    parts = list[str]()
    for word, rival in itertools.product((BETTER, WORSE, EQUAL), dict.fromkeys(f.rival for f in found)):
        where: dict[tuple[str, ...], list[str]] = {}
        for arm in dict.fromkeys(f.arm for f in found if f.rival == rival):
            if envs := tuple(f.env for f in found if (f.arm, f.word) == (arm, word)):
                where.setdefault(envs, []).append(arm)
        if where:
            arms = "; ".join(f"{listed(arms)} on {listed(envs)}" for envs, arms in where.items())
            side = f"to {rival} within {_margin(queries)}" if word == EQUAL else f"than {rival}"
            parts.append(f"{word.capitalize()} {side}: {arms}.")
    left = sum(f.word == OPEN for f in found)
    if queries.missing:
        parts.insert(0, "Some runs are missing.")
    if not any(f.word != OPEN for f in found):
        parts.append(f"Compared with {rivals(queries)}, nothing is settled ({count(of, 'comparison')}).")
    elif left:
        parts.append(f"{OPEN.capitalize()}: {left} of {count(of, 'comparison')}.")
    return Paragraph(" ".join(parts), " ".join(_needs(queries)))


def _needs(queries: Queries) -> Iterator[str]:
    """How many seeds it would take to settle more."""
    found, of = contrasts(queries), len(queries.sweep.comparisons())
    for together in (True, False):
        yield from _too_few(queries, [f for f in found if (f.env == TOGETHER) == together], len(_families(queries)) > 1)
    if missing := of - len(found):
        yield f"{count(missing, 'comparison')} {'has' if missing == 1 else 'have'} no runs yet."
    needed: dict[str, float] = {}
    for f in found:
        if f.word == OPEN and math.isfinite(seeds := needs(queries, f)):
            needed[f.env] = max(needed.get(f.env, 0), seeds)
    if needed:
        each = listed([f"{_many(seeds)} on {env}" for env, seeds in needed.items()])
        goal = f"To find a difference of {_margin(queries)} with probability {POWER}"
        yield f"{goal}, every arm needs this many seeds, if they spread like these: {each}."


def _many(seeds: float) -> str:
    if not math.isfinite(seeds):
        return "–"
    return f"{seeds:,.0f}" if seeds <= MANY else f"more than {MANY:,}"


def _too_few(queries: Queries, family: list[Contrast], several: bool) -> Iterator[str]:
    """A sentence if the comparisons of a family have too few seeds to settle any difference."""
    lowest = min((2 * float(f.compared.shares.tail[-1]) * f.compared.of for f in family), default=0.0)
    if lowest > 1 - LEVEL:
        where = f" on {TOGETHER if family[0].env == TOGETHER else 'a single task'}" if several else ""
        seeds, tasks = max(min(f.seeds) for f in family), max(len(f.compared.tasks) for f in family)
        least = families.least_seeds(family[0].compared.of, queries.sweep.family.paired, tasks)
        yield (
            f"With {count(seeds, 'seed')} no difference{where} can be settled: even if every run of an arm beats every "
            f"run of the other, the corrected p-value is {short(min(lowest, 1))}. It takes at least {least} seeds "
            "per arm."
        )


def needs(queries: Queries, contrast: Contrast) -> float:
    """How many seeds per arm would tell a difference of the margin apart; see `families.seeds_needed`."""
    family, compared = queries.sweep.family, contrast.compared
    return families.seeds_needed(compared.tasks, family.margin, compared.of, family.paired)


def _margin(queries: Queries) -> str:
    return percent(queries.sweep.family.margin)


def definitions(queries: Queries) -> dict[str, str]:
    """The words and what they mean; empty if the sweep compares nothing."""
    if not _families(queries):
        return {}
    margin = _margin(queries)
    test = (
        "Wilcoxon's signed-rank test, with runs paired by seed" if queries.sweep.family.paired else "Mann and Whitney's"
    )
    level = f"with p ≤ {1 - LEVEL:.2g} after Holm's correction for {_counted(queries)}"
    together = any(env == TOGETHER for env, _ in queries.sweep.comparisons())
    crashed = any(row.diverged for row in queries.rows.values())
    diverged = (
        "; runs that diverged count as an untrained policy, or as the worst run if that is worse" if crashed else ""
    )
    return {
        f"{BETTER}, {WORSE}": f"an exact test ({test}) finds that the runs of one arm win more pairs, {level}"
        f"{diverged}; a few failed runs do not change the word, but the worst run and the lower quartile show them",
        EQUAL: f"two such one-sided tests find that the difference is smaller than {margin} of the other arm's score, "
        f"{level}, and on each task the interquartile means differ by less; a significant difference can be that small",
        OPEN: "neither; this is no sign that the arms are equal",
        "significant, in what follows": "said of each comparison by itself, without a correction",
    } | ({TOGETHER: TOGETHER_MEANS} if together else {})


def figure(queries: Queries) -> Figure | None:
    """Arms and tasks: each difference from the baseline with its interval, and whether it is settled."""
    if not (found := contrasts(queries)):
        return None
    envs, arms = {f.env for f in found}, {f.label for f in found}
    drawn = []
    for f in found:
        place = (f.env, f.label) if len(envs) > len(arms) else (f.label, f.env)
        says = f"{f.label} on {f.env}: {f.difference}, {f.word}"
        drawn.append(Effect(place, *f.compared.effect, f.word, f.arm, says))
    base, margin = rivals(queries), queries.sweep.family.margin
    where = f"{'All tasks' if len(envs) > 1 else found[0].env}: difference from {base}"
    title = f"difference from {base}, as a share of its score"
    joint = f"{percent(LEVEL)} (exact, corrected for {_counted(queries)})"
    about = f"The mark is the difference of the IQMs, as a share of that of {base}"
    about += "; for all tasks together the median of all pairs" * (TOGETHER in envs)
    about += ". The intervals hold together with"
    about += f" {joint}; an arrow leads beyond the axis. Grey: less than {percent(margin)}. {_sizes(found)}"
    return Figure(effects(where, drawn, LOOKS, margin, title), about)


def _sizes(found: list[Contrast]) -> str:
    sizes = sorted({min(f.seeds) for f in found})
    return f"n = {count(sizes[-1], 'seed') if len(sizes) == 1 else f'{sizes[0]} to {sizes[-1]} seeds'} per arm."


def picture(queries: Queries) -> str:
    """The figure as an SVG file; empty without comparisons."""
    drawn = figure(queries)
    return sheet(queries.sweep.question or queries.sweep.path.stem, [[drawn.drawing]]) if drawn else ""


def matrix(queries: Queries) -> list[tuple[str, ...]]:
    """The picture as text: a line for each task, a column for each arm, with a line of their names first."""
    found = {(f.env, f.label): f for f in contrasts(queries)}
    envs, arms = (list(dict.fromkeys(where[side] for where in found)) for side in (0, 1))
    cells = {where: f"{SIGNS[f.word]} {f.difference}" for where, f in found.items()}
    return [("task", *arms), *((env, *(cells.get((env, arm), "") for arm in arms)) for env in envs)] if found else []


def table(queries: Queries) -> list[tuple[str, ...]]:
    """One line for each comparison that has runs; see `COLUMNS`."""
    lines = []
    for f in contrasts(queries):
        seeds = "{}, {}".format(*f.seeds)
        p_values = p_value(f.compared.different), p_value(f.compared.equal)
        lines.append((f.env, f.label, f.difference, *p_values, seeds, _many(needs(queries, f)), f.word))
    return lines
