"""The answer in plain words, from the statistics: who won where, by how much, how sure, what failed and why."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from pgcontrol.experiment.study import Study, percent
from pgcontrol.experiment.results import Row
from pgcontrol.experiment.statistics import (
    LEVEL,
    Interval,
    chance,
    difference,
    iqm_interval,
    mean_probability_of_improvement,
    probability_of_improvement,
)
from pgcontrol.runs.log import short

FEW = 3
"""Seeds under which an interval is no more than the range of the runs."""
NARROW = "the narrowest joint stays narrow"
"""Said of runs that nobody has judged."""
MILD = ("suspected", "sharp", NARROW)
"""Told last, in this order: what may be no fault."""


class Standing(NamedTuple):
    """An arm on a task."""

    arm: str
    seeds: int
    score: Interval
    ahead: Interval | None
    """Of the baseline; None for the baseline itself, or without one."""
    better: Interval | None
    chance: float
    """That arms without a difference come out as far apart: exact Mann-Whitney test, both sides."""

    @property
    def settled(self) -> int:
        """1 clearly above the baseline, −1 clearly below, 0 not told apart by these seeds.

        Bootstrap intervals of few seeds are too narrow: three against three, however far apart, are a matter of chance
        one time in ten, which the exact test knows.
        """
        if self.ahead is None or self.better is None or self.chance > 1 - LEVEL:
            return 0
        if self.ahead.low > 0 and self.better.low > 0.5:
            return 1
        return -1 if self.ahead.high < 0 and self.better.high < 0.5 else 0


def standings(study: Study, env: str) -> list[Standing]:
    """The arms of a task, best first."""
    base = study.scores(env, study.sweep.baseline)
    found = []
    for arm in study.arms(env):
        scores, rival = study.scores(env, arm), base if arm != study.sweep.baseline else []
        found.append(
            Standing(
                arm,
                min(len(scores), len(rival or scores)),
                iqm_interval(scores),
                difference(scores, rival) if rival else None,
                probability_of_improvement(scores, rival) if rival else None,
                chance(scores, rival) if rival else 1.0,
            )
        )
    return sorted(found, key=lambda s: -s.score.estimate)


class Paragraph(NamedTuple):
    """What to remember, and the rest."""

    lead: str
    rest: str


def answer(study: Study) -> list[Paragraph]:
    """Paragraphs: one a task, one over all tasks, one on what went wrong, one on what is missing."""
    told = [_on(study, env) for env in study.envs()]
    if len(study.envs()) > 1 and study.sweep.baseline:
        told.append(Paragraph("", _together(study)))
    told += [Paragraph("", _trouble(study)), Paragraph("", _missing(study))]
    return [p for p in told if p.rest or p.lead]


def _on(study: Study, env: str) -> Paragraph:
    ranked = standings(study, env)
    best, base = ranked[0], next((s for s in ranked if s.arm == study.sweep.baseline), None)
    lead = f"On {env}, {_named(study, best)} did best: {_score(best, len(study.scores(env, best.arm)))}."
    told = []
    if base and base is not best and best.ahead and best.better:
        theirs = _score(base, len(study.scores(env, base.arm)))
        told.append(f"That is {_by(best, base)} than the baseline {base.arm}'s {theirs}; {_sure(best)}.")
    told += _others(best, base, ranked)
    told += _cost(study, env, best, base)
    told += _gap(study, env, ranked)
    return Paragraph(lead, " ".join(told))


def _named(study: Study, standing: Standing) -> str:
    return f"the baseline {standing.arm}" if standing.arm == study.sweep.baseline else standing.arm


def _score(standing: Standing, seeds: int) -> str:
    if seeds == 1:
        return f"{short(standing.score.estimate)}, from one seed alone"
    spread = f"{short(standing.score.low)} to {short(standing.score.high)}"
    level = f"{percent(LEVEL)} " if seeds >= FEW else ""
    return f"{short(standing.score.estimate)} ({level}{spread}, {seeds} seeds)"


def _by(standing: Standing, base: Standing) -> str:
    ahead = standing.ahead
    assert ahead is not None
    share = ahead.estimate / base.score.estimate if base.score.estimate > 0 else 0.0
    return f"{short(ahead.estimate)}{f' ({percent(share)})' if share >= 0.005 else ''} more"


def _sure(standing: Standing) -> str:
    better = standing.better
    assert better is not None
    if standing.seeds < FEW:
        return f"{_count(standing.seeds, 'seed')} to compare: a hint, no more"
    chance = f"a run of it beats one of the baseline with probability {better}"
    return f"{chance}, which {'settles it' if standing.settled else 'these seeds do not settle'}"


def _others(best: Standing, base: Standing | None, ranked: list[Standing]) -> list[str]:
    rest = [s for s in ranked if s is not best and s is not base and s.ahead]
    told = []
    for side, words in ((1, "Also clearly above the baseline"), (-1, "Clearly below it")):
        if group := [s for s in rest if s.settled == side]:
            words = "Clearly below the baseline" if side < 0 and base is not best else words
            listed = _list([f"{s.arm} (by {short(abs(s.ahead.estimate))})" for s in group if s.ahead])
            told.append(f"{words}: {listed}.")
    unsettled = [s for s in rest if s.settled == 0 and s.seeds >= FEW]
    for side, words in ((1.0, "above"), (0.0, "below")):
        if wholly := [s.arm for s in unsettled if s.better and s.better.estimate == side]:
            few = "though so few seeds come out like that by chance, too"
            told.append(f"With every run {words} the baseline's, {few}: {_list(wholly)}.")
    if open_ := [s.arm for s in unsettled if s.better and 0 < s.better.estimate < 1]:
        told.append(f"Not told apart from the baseline by these seeds: {_list(open_)}.")
    if few := [s for s in ranked if s is not best and s is not base and s.seeds < FEW]:
        told.append(
            f"With fewer than {FEW} seeds, as hints only: {_list([f'{s.arm} {short(s.score.estimate)}' for s in few])}."
        )
    return told


def _cost(study: Study, env: str, best: Standing, base: Standing | None) -> list[str]:
    if base is None or base is best:
        return []
    ours, theirs = _rate(study, env, best.arm), _rate(study, env, base.arm)
    if max(ours, theirs) < 1.5 * min(ours, theirs):
        return []
    return [f"{best.arm} made {short(ours)} steps a second where the baseline made {short(theirs)}."]


def _rate(study: Study, env: str, arm: str) -> float:
    return float(np.median([row["steps"] / row["seconds"] for row in study.of(env, arm)]))


def _gap(study: Study, env: str, ranked: list[Standing]) -> list[str]:
    """Arms whose samples do much better than their mode: what is played without sampling is not what was learned."""
    told = []
    scale = abs(study.one(env) - study.first(env))
    for s in ranked:
        sampled = [row["sampled"] for row in study.of(env, s.arm) if row["sampled"] is not None]
        if sampled and iqm_interval(sampled).estimate - s.score.estimate > 0.1 * scale:
            told.append(
                f"{s.arm}'s samples score {short(iqm_interval(sampled).estimate)},"
                f" its mode only {short(s.score.estimate)}."
            )
    return told


def _together(study: Study) -> str:
    told = []
    base = study.sweep.baseline
    for arm in study.arms():
        envs = [e for e in study.envs() if study.scores(e, arm) and study.scores(e, base)]
        if arm == base or len(envs) < 2:
            continue
        better = mean_probability_of_improvement([(study.scores(e, arm), study.scores(e, base)) for e in envs])
        firm = "clearly" if better.low > 0.5 or better.high < 0.5 else "not clearly"
        side = "better" if better.estimate > 0.5 else "worse" if better.estimate < 0.5 else "different"
        told.append(f"{arm} {better} on {len(envs)} tasks, {firm} {side}")
    if not told:
        return ""
    return f"Over the tasks together, the probability that a run beats one of {base}: {'; '.join(told)}."


def _trouble(study: Study) -> str:
    """What happened on each task, and to which arms: the graver words first."""
    told = []
    for env in study.envs():
        happened: dict[str, list[str]] = {}
        for arm in study.arms(env):
            rows = study.of(env, arm)
            for word, (count, about) in _words(study, rows).items():
                happened.setdefault(word, []).append(f"{arm} in {count} of {_count(len(rows), 'run')}{about}")
        for word in sorted(happened, key=lambda w: (w in MILD, MILD.index(w) if w in MILD else 0)):
            told.append(f"On {env}, {word}: {_list(happened[word])}.")
    return " ".join(told)


def _words(study: Study, rows: list[Row]) -> dict[str, tuple[int, str]]:
    """Word -> how many of an arm's runs it is said of, and what else there is to say of them."""
    said = Counter(word for row in rows for word in (row.get("verdict") or "healthy").split(", "))
    found = {word: (count, "") for word, count in said.items() if word != "healthy"}
    if gone := [row["steps"] for row in rows if row.get("diverged")]:
        found["diverged"] = (len(gone), f" (last {_list([f'step {steps:,}' for steps in gone])})")
    if narrow := [at.step for row in rows if not row.get("verdict") and (at := study.sharp(row))]:
        found[NARROW] = (len(narrow), f" (from step {short(min(narrow))} on)")
    return found


def _missing(study: Study) -> str:
    missing = [cell for cell in study.sweep.cells if cell.key not in study.rows]
    if not missing:
        return ""
    told = [f"{len(missing)} of {len(study.sweep.cells)} runs are missing, so this is a report of what there is."]
    if untouched := [e for e in study.sweep.envs() if e not in study.envs()]:
        told.append(f"None yet on {_list(untouched)}.")
    for cell in missing:
        log = study.where / f"{cell.name}.log"
        words = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        if words and words[-1].startswith("pgcontrol:"):
            told.append(f"{cell.name} failed: {words[-1].removeprefix('pgcontrol:').strip()}.")
    return " ".join(told)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
