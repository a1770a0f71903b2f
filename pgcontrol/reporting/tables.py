"""Tables and curves of a sweep: Markdown, CSV and SVG next to its YAML."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from pgcontrol.machine import files
from pgcontrol.machine.templates import template
from pgcontrol.measures.statistics import SHARE, Interval, iqm_interval
from pgcontrol.reporting import figures, problems, searched, settled
from pgcontrol.reporting.narrative import answer, listed
from pgcontrol.reporting.queries import Queries, percent
from pgcontrol.reporting.standings import noise, standing
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.text import count, short

COLUMNS = ("task", "arm", "IQM (95 %)", "worst", "lower quartile", "sampled", "P(better)", "seeds", "steps/s")
COLUMNS += ("per seed",)
# columns of the tasks' own measures, in their units: means over seeds, and each seed by mode
MEASURED = ("task", "arm", "measure", "by mode", "by samples", "per seed")
# columns of the table on evaluation noise; see `Precision`
NOISE = ("task", "arm", "deviation between seeds", "error of a score", "episodes", "enough episodes")
# columns of secondary outcomes: the training return, averaged over the steps, and after the same time; and that time
OUTCOMES = ("task", "arm", "area under the curve", "return at equal time", "seconds")
# columns of the CSV of runs
RUNS = ("task", "arm", "seed", "return", "error", "episodes", "evaluation_seed", "sampled", "training", "diverged",
        "verdict", "steps", "seconds", "date", "dirty")  # fmt: skip
# columns of the CSV of arms: the IQM of the scores with its interval, the lowest score and the lower quartile, the IQM
# of the sampled scores, P(better) with its interval, if any, median times to the threshold, how many runs reached it,
# standard deviation of the scores, their standard error, and how many episodes would be enough; IQMs of the area under
# the curve and of the return at equal time, and that time
SUMMARY = ("task", "arm", "seeds", "iqm", "low", "high", "worst", "lower_quartile", "sampled", "better", "better_low",
           "better_high", "steps_per_second", "threshold", "steps_to_it", "seconds_to_it", "reached_it", "spread",
           "error", "episodes", "enough_episodes", "area", "at_equal_time", "equal_time")  # fmt: skip


def lines(queries: Queries) -> list[tuple[str, ...]]:
    """One line for each task and arm that has results, and for each reference of such a task; see `COLUMNS`."""
    found = []
    for env in queries.envs():
        for arm in queries.arms(env):
            at, seeds, rate = standing(queries, env, arm), len(queries.of(env, arm)), f"{queries.rate(env, arm):,.0f}"
            score = str(at.score) if seeds > 1 else f"{short(at.scores[0])} (one seed)"
            low = [short(at.worst), short(at.quartile)] if seeds > 1 else ["", ""]
            sampled = "" if at.sampled is None else short(at.sampled)
            each = ", ".join(short(row.score) + " †" * row.diverged for row in queries.of(env, arm))
            found.append((env, arm, score, *low, sampled, str(at.better or ""), str(seeds), rate, each))
        for other in queries.sweep.references.get(env, ()):
            found.append((env, f"({other.name})", short(other.value), *[""] * (len(COLUMNS) - 4), other.about))
    return found


def outcomes(queries: Queries) -> list[tuple[str, ...]]:
    """One line for each task and arm that has returns in training; see `OUTCOMES`."""
    found = []
    for env in queries.envs():
        for arm in queries.arms(env):
            *both, time = _secondary(queries, env, arm)
            if all(both):
                words = (str(o) if len(queries.of(env, arm)) > 1 else short(o.estimate) for o in both if o)
                found.append((env, arm, *words, short(time)))
    return found


def _secondary(queries: Queries, env: str, arm: str) -> tuple[Interval | None, Interval | None, float]:
    """The area under the curve, the return at equal time (IQMs over the runs that have them), and that time."""
    time, rows = queries.equal_time(env), queries.of(env, arm)
    each = ([queries.area(row) for row in rows], [queries.at_time(row, time) for row in rows])
    area, at_time = ([value for value in values if np.isfinite(value)] for values in each)
    return iqm_interval(area) if area else None, iqm_interval(at_time) if at_time else None, time


def noises(queries: Queries) -> list[tuple[str, ...]]:
    """One line for each task and arm whose scores have a standard error; see `NOISE`."""
    found = []
    for env in queries.envs():
        for arm in queries.arms(env):
            if known := noise(queries, env, arm):
                enough = f"{known.enough:,.0f}" if np.isfinite(known.enough) else "–"
                found.append((env, arm, short(known.spread), short(known.error), f"{known.episodes:,}", enough))
    return found


def enough(queries: Queries) -> str:
    """Explains `noises`, and gives the episodes that are enough for every arm of each task; empty without any."""
    found = []
    for env in queries.envs():
        most = max((known.enough for arm in queries.arms(env) if (known := noise(queries, env, arm))), default=None)
        if most is not None:
            found.append(f"{most:,.0f} on {env}" if np.isfinite(most) else f"no number on {env}, where seeds are equal")
    about = "How noisy is the evaluation? The table compares the deviation between seeds with the standard error of a"
    about = f"{about} score over its episodes. Enough episodes bring the error under {percent(SHARE)} of the deviation."
    return f"{about} Enough for every arm: {listed(found)}." if found else ""


def measured(queries: Queries) -> list[tuple[str, ...]]:
    """One line for each task, arm and measure of the task, from the rows that have it; see `MEASURED`."""
    found = []
    for env in queries.envs():
        for arm in queries.arms(env):
            rows = queries.of(env, arm)
            names = dict.fromkeys(name for row in rows for name in row.measured if not name.endswith("_sampled"))
            for name in names:
                mode, sampled = (
                    [value for row in rows if (value := row.measured.get(name + ending)) is not None]
                    for ending in ("", "_sampled")
                )
                means = [short(fmean(values)) if values else "" for values in (mode, sampled)]
                found.append((env, arm, name, *means, ", ".join(map(short, mode))))
    return found


def unclean(queries: Queries) -> str:
    """How many runs were made with uncommitted changes to the code; empty without any."""
    marked, all_ = sum(row.dirty for row in queries.rows.values()), len(queries.rows)
    were = "was" if marked == 1 else "were"
    return f"{marked} of {count(all_, 'run')} {were} made with uncommitted changes to the code." if marked else ""


def write(queries: Queries) -> None:
    """Write NAME.md, NAME.csv (runs), NAME.summary.csv (arms) and NAME.svg next to the YAML, each atomically.

    If arms are compared with a baseline, NAME.settled.svg, too.

    Args:
        queries: at least one row.
    """
    sheets = {".csv": _sheet([RUNS, *runs(queries)]), ".summary.csv": _sheet([SUMMARY, *summary(queries)])}
    contents = {".md": _markdown(queries), **sheets, ".svg": figures.plot(queries)}
    if picture := settled.picture(queries):
        contents[".settled.svg"] = picture
    files.replace({queries.sweep.path.with_suffix(suffix): content for suffix, content in contents.items()})


def _markdown(queries: Queries) -> str:
    reached, goals = list[tuple[str, ...]](), dict[str, list[str]]()
    for env in queries.envs():
        if (goal := queries.goal(env)) is None:
            continue
        goals.setdefault(goal.why, []).append(f"{short(goal.value)} on {env}")
        for arm in queries.arms(env):
            found = queries.reaches(env, arm, goal.value)
            medians = [short(float(f"{median:.3g}")) if np.isfinite(median) else "–" for median in found.medians]
            reached.append((env, arm, *medians, f"{found.reached} of {len(found.steps)}"))
    text = template("pgcontrol.reporting", "tables.md.jinja", cell=_escaped).render(
        queries=queries,
        sweep=queries.sweep,
        shown=shown(queries.sweep),
        settled=settled.answer(queries),
        matrix=settled.matrix(queries),
        signs=settled.SIGNS,
        rivals=settled.rivals(queries),
        definitions=settled.definitions(queries),
        compared=settled.table(queries),
        comparison=settled.COLUMNS,
        answer=answer(queries),
        stated=queries.stated,
        columns=COLUMNS,
        lines=lines(queries),
        search=[searched.lead(queries), *searched.words(queries)] if queries.trials else [],
        outcomes=outcomes(queries),
        outcome=OUTCOMES,
        measured=measured(queries),
        measures=MEASURED,
        troubled=problems.table(queries),
        trouble=problems.COLUMNS,
        troubles=problems.MEANING,
        noises=noises(queries),
        noise=NOISE,
        enough=enough(queries),
        unclean=unclean(queries),
        reached=reached,
        goals="; ".join(f"{', '.join(values)} ({reason})" for reason, values in goals.items()),
    )
    return text.rstrip() + "\n"


def _escaped(words: str) -> str:
    """Text whose names of arms can neither end a table cell nor begin an HTML element."""
    return re.sub(r"[|<]", r"\\\g<0>", words)


def _sheet(lines: Iterable[Sequence[Any]]) -> str:
    """CSV in which no spreadsheet program takes a text for a formula: a quote before it marks it as text."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([f"'{cell}" if _formula(cell) else cell for cell in line] for line in lines)
    return text.getvalue()


def _formula(cell: Any) -> bool:
    """See https://owasp.org/www-community/attacks/CSV_Injection. Numbers stay numbers."""
    return isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def runs(queries: Queries) -> Iterator[tuple[Any, ...]]:
    """One line per run; the columns are `RUNS`."""
    for key, r in sorted(queries.rows.items()):
        score = (r.evaluated, r.error, r.episodes, r.evaluation_seed, r.sampled, r.training)
        yield (*key, *score, r.diverged, r.verdict, r.steps, r.seconds, r.date, r.dirty)


def summary(queries: Queries) -> Iterator[tuple[Any, ...]]:
    """The tables as numbers, one line for each task and arm that has results; the columns are `SUMMARY`."""
    for env in queries.envs():
        goal = queries.goal(env)
        for arm in queries.arms(env):
            at = standing(queries, env, arm)
            bounds = at.score[1:] if len(at.scores) > 1 else (None, None)
            better = (at.better.interval.estimate, *at.better.bounds) if at.better else (None, None, None)
            times = (None, None, None, None)
            if goal:
                reaches = queries.reaches(env, arm, goal.value)
                times = (goal.value, *reaches.medians, reaches.reached)
            scores = (len(at.scores), at.score.estimate, *bounds, at.worst, at.quartile, at.sampled, *better)
            known = noise(queries, env, arm)
            noisy = (*known, known.enough) if known else (None,) * 4
            area, at_time, time = _secondary(queries, env, arm)
            secondary = (area and area.estimate, at_time and at_time.estimate, time)
            yield (env, arm, *scores, queries.rate(env, arm), *times, *noisy, *secondary)


def shown(sweep: Sweep) -> str:
    """The YAML's path as a reader of the repository would type it, without folders of this machine."""
    return sweep.path.name if sweep.path.is_absolute() else str(sweep.path)


def terminal(queries: Queries) -> Table:
    table = Table(*COLUMNS[:-1])
    for line in lines(queries):
        table.add_row(*line[:-1])
    return table
