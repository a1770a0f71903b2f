"""The answer in plain words, from the statistics: who won where, by how much, how sure, what failed and why."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.measures.statistics import LEVEL
from pgcontrol.measures.verdicts import STUCK
from pgcontrol.reporting.queries import Queries, percent
from pgcontrol.reporting.standings import Improvement, Standing, improvement, standings
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.run_state import failure
from pgcontrol.text import count, short

FEW = 3  # seeds under which an interval is no more than the range of the runs
NARROW = "the narrowest joint stays narrow"  # word for runs that nobody has judged
MILD = ("suspected", "sharp", NARROW)  # words that come last, in this order, since they may be no fault
# verdicts that need no words, or have a paragraph of their own
UNTOLD = ("healthy", "not judged", "fewer routes")
JOINTS = 3  # greatest number of narrow joints that are named: those that are narrow in most runs
# from this share of a run's successes on, a route counts as its only one: an odd episode keeps no way open
ONE_WAY = 0.95


class Paragraph(NamedTuple):
    """What to remember, and the rest."""

    lead: str
    rest: str


def answer(queries: Queries) -> list[Paragraph]:
    """Paragraphs: on all tasks, on each, on the routes of those that have any, on what went wrong, is missing."""
    ranked = {env: standings(queries, env) for env in queries.envs()}
    told = [_overall(queries, ranked)] if len(ranked) > 1 else []
    told += [_on(queries, env, found) for env, found in ranked.items()]
    told += [_ways(queries, env) for env in queries.envs()]
    told += [_trouble(queries), Paragraph("", " ".join(_missing(queries)))]
    return [p for p in told if p.rest or p.lead]


def _overall(queries: Queries, every: dict[str, list[Standing]]) -> Paragraph:
    """Which arm did best where, what is settled, and how the arms stand to the baseline over all tasks."""
    ranked = {env: found for env, found in every.items() if len(found) > 1}
    best: dict[str, list[str]] = {}
    for env, found in ranked.items():
        first = _first(found)
        best.setdefault(listed([s.arm for s in first]) + " alike" * (len(first) > 1), []).append(env)
    led = [f"{arms} on {listed(envs)}" for arms, envs in sorted(best.items(), key=lambda b: -len(b[1]))]
    hint = " (of one seed alone)" if all(len(s.scores) == 1 for found in ranked.values() for s in found) else ""
    lead = f"Highest score{hint}: {'; '.join(led)}." if led else ""
    told = []
    for side, words in ((1, "Clearly above"), (-1, "Clearly below")):
        where: dict[tuple[str, ...], list[str]] = {}
        for arm in queries.arms():
            if envs := tuple(env for env in ranked for s in ranked[env] if s.arm == arm and s.settled == side):
                where.setdefault(envs, []).append(arm)
        if where:
            arms = "; ".join(f"{listed(arms)} on {listed(envs)}" for envs, arms in where.items())
            told.append(f"{words} the baseline {queries.sweep.baseline}: {arms}.")
    if not told and any(s.ahead for found in ranked.values() for s in found):
        told.append(f"On no task do these seeds settle whether an arm is above or below {queries.sweep.baseline}.")
    told += [_together(queries), _beside_others(queries, every)]
    return Paragraph(lead, " ".join(filter(None, told)))


def _first(ranked: list[Standing]) -> list[Standing]:
    """The arms that no other is above; more than one, where they have the same score."""
    return [s for s in ranked if s.score.estimate == ranked[0].score.estimate]


def _beside_others(queries: Queries, ranked: dict[str, list[Standing]]) -> str:
    """On which tasks the best arm comes to what others came to."""
    found: dict[str, list[str]] = {"as much or more": [], "less, with theirs inside its interval": [], "less": []}
    more, within, less = found.values()
    for env in queries.envs():
        if others := queries.sweep.references.get(env):
            best, theirs = ranked[env][0].score, max(other.value for other in others)
            (more if best.estimate >= theirs else within if best.high >= theirs else less).append(env)
    told = "; ".join(f"{words} on {listed(envs)}" for words, envs in found.items() if envs)
    return f"Beside the best of others' figures, the best arm scores {told}." if told else ""


def _on(queries: Queries, env: str, ranked: list[Standing]) -> Paragraph:
    first, base = _first(ranked), next((s for s in ranked if s.arm == queries.sweep.baseline), None)
    best = base if base and base in first else first[0]
    did = "scored" if len(ranked) == 1 else "did best" if len(first) == 1 else "did best alike"
    arms = listed([f"the baseline {s.arm}" if s is base else s.arm for s in first])
    lead = f"On {env}, {arms} {did}: {_score(best)}."
    told = []
    if base and base is not best and best.ahead and best.better:
        share = best.ahead.estimate / base.score.estimate if base.score.estimate > 0 else 0.0
        more = short(best.ahead.estimate) + (f" ({percent(share)})" if share >= 0.005 else "")
        surely = _sure(best, best.better, base)
        told.append(f"That is {more} more than the baseline {base.arm}'s {_score(base)}; {surely}.")
    told += [*_others(best, base, ranked), *_gap(queries, env, ranked), *_reported(queries, env, best)]
    return Paragraph(lead, " ".join(told))


def _score(standing: Standing) -> str:
    estimate, low, high = map(short, standing.score)
    if len(standing.scores) == 1:
        return f"{estimate}, from one seed alone"
    level = f"{percent(LEVEL)} " if len(standing.scores) >= FEW else ""
    return f"{estimate} ({level}{low} to {high}, {len(standing.scores)} seeds)"


def _sure(standing: Standing, better: Improvement, base: Standing) -> str:
    if standing.seeds < FEW:
        return f"{count(standing.seeds, 'seed')} to compare: a hint, no more"
    if better.won == better.pairs:
        told = f"every run of it beats every run of {base.arm} ({better.pairs} of {better.pairs} pairs)"
    else:
        estimate, low, high = map(short, better.interval)
        pairs = f"{better.won:g} of {better.pairs} pairs"
        told = f"a run of it beats one of {base.arm} in {pairs} ({estimate}, {low} … {high})"
    if standing.settled:
        return f"{told}, which settles it"
    if better.won == better.pairs:
        return f"{told}, but so few runs come out so by chance one time in {1 / better.p_value:.0f}"
    return f"{told}, which these seeds do not settle"


def _others(best: Standing, base: Standing | None, ranked: list[Standing]) -> Iterator[str]:
    other = [s for s in ranked if s is not best and s is not base and s.score != best.score]
    rest = [s for s in other if s.ahead]
    below = "it" if base is best else "the baseline"
    for side, words in ((1, "Also clearly above the baseline"), (-1, f"Clearly below {below}")):
        if group := [f"{s.arm} (by {short(abs(s.ahead.estimate))})" for s in rest if s.ahead and s.settled == side]:
            yield f"{words}: {listed(group)}."
    unsettled = [s for s in rest if s.settled == 0 and s.seeds >= FEW]
    for side, words in ((1, "above"), (0, "below")):
        if wholly := [s.arm for s in unsettled if s.better and s.better.won == side * s.better.pairs]:
            few = "though so few runs come out like that by chance, too"
            yield f"With every run {words} the baseline's, {few}: {listed(wholly)}."
    if open_ := [s.arm for s in unsettled if s.better and 0 < s.better.won < s.better.pairs]:
        yield f"Not told apart from the baseline by these seeds: {listed(open_)}."
    if hints := [f"{s.arm} {short(s.score.estimate)}" for s in other if s.seeds < FEW]:
        yield f"With fewer than {FEW} seeds, as hints only: {listed(hints)}."


def _gap(queries: Queries, env: str, ranked: list[Standing]) -> Iterator[str]:
    """Arms whose samples do much better than their mode: what is played without sampling is not what was learned."""
    scale = abs(queries.one(env) - queries.first(env))
    for s in ranked:
        if s.sampled is not None and s.sampled - s.score.estimate > 0.1 * scale:
            yield f"{s.arm}'s samples score {short(s.sampled)}, its mode only {short(s.score.estimate)}."


def _reported(queries: Queries, env: str, best: Standing) -> Iterator[str]:
    """How the best arm stands to what others came to on the task."""
    told = []
    for other in sorted(queries.sweep.references.get(env, ()), key=lambda r: -r.value):
        there = sum(score >= other.value for score in best.scores)
        told.append(f"{other.name} {short(other.value)} ({there} of {count(len(best.scores), 'run')} reach it)")
    if told:
        yield f"Others' figures, beside the runs of {best.arm}: {listed(told)}."


def _ways(queries: Queries, env: str) -> Paragraph:
    """Of a task with routes: which arms' samples keep more than one of them, and how often they succeed at all."""
    several, one, none = [], [], []
    for arm in queries.arms(env):
        kept = [row.routes for row in queries.of(env, arm) if row.routes]
        if not kept:
            continue
        taken = [np.array(routes.taken) for routes in kept]
        success = float(np.mean([(t >= 0).mean() for t in taken]))
        entropies = [routes.entropy for routes in kept if routes.entropy is not None]
        if not entropies:
            none.append(arm)
        elif open_ := sum(_main(t) < ONE_WAY for t in taken if (t >= 0).any()):
            about = f"success {percent(success)}, route entropy {np.mean(entropies):.2f}"
            several.append(f"{arm} in {open_} of {count(len(kept), 'run')} ({about})")
        else:
            ended = "" if len(entropies) == len(kept) else f", {len(entropies)} of {count(len(kept), 'run')} succeed"
            one.append((arm, success, ended))
    told = []
    if several:
        told.append(f"more than one is kept by {listed(several)}")
    if one:
        shares = sorted(share for _, share, _ in one)
        alike = shares[-1] - shares[0] < 0.005 and not any(ended for *_, ended in one)
        about = [arm if alike else f"{arm} (success {percent(share)}{ended})" for arm, share, ended in one]
        every = f" (success {percent(shares[0])})" if alike else ""
        told.append(f"every run that succeeds ends on one of them with {listed(about)}{every}")
    if none:
        told.append(f"no run succeeds with {listed(none)}")
    if not told:
        return Paragraph("", "")
    names = next(row.routes.names for row in queries.on(env) if row.routes)
    return Paragraph(f"Of the {len(names)} routes of {env},", f"{'; '.join(told)}.")


def _main(taken: np.ndarray) -> float:
    """The share of the successes that goes by the commonest route."""
    counts = np.bincount(taken[taken >= 0])
    return float(counts.max() / counts.sum())


def _together(queries: Queries) -> str:
    base, clear, rest, tasks = queries.sweep.baseline, [], [], set[int]()
    for arm in queries.arms():
        pairs = queries.pairs(arm, queries.envs())
        if arm == base or len(pairs) < 2:
            continue
        tasks.add(len(pairs))
        better = improvement(pairs)
        if better.clearly:
            clear.append(f"{arm} {better}, clearly {'better' if better.clearly > 0 else 'worse'}")
        else:
            rest.append(f"{arm} ({short(better.interval.estimate)})")
    if not tasks:
        return ""
    told = [*clear, *([f"not clearly off a half: {listed(rest)}"] if rest else [])]
    over = f"{min(tasks)} to {max(tasks)}" if len(tasks) > 1 else str(*tasks)
    return f"Over {over} tasks together, the probability that a run beats one of {base}: {'; '.join(told)}."


def _trouble(queries: Queries) -> Paragraph:
    """What happened on each task, and to which arms: the graver words first."""
    told = []
    for env in queries.envs():
        happened: dict[str, list[str]] = {}
        for arm in queries.arms(env):
            rows = queries.of(env, arm)
            for word, those in _words(queries, rows).items():
                often = f"{len(those)} of {count(len(rows), 'run')}"
                happened.setdefault(word, []).append(f"{arm} in {often}{_when(queries, word, those)}")
        for word in sorted(happened, key=lambda w: (w in MILD, MILD.index(w) if w in MILD else 0)):
            told.append(f"On {env}, {word}: {listed(happened[word])}.")
    return Paragraph("What went wrong, or may have." if told else "", " ".join(told))


def _words(queries: Queries, rows: list[Row]) -> dict[str, list[Row]]:
    """Word -> the runs of an arm that it is said of."""
    said = [(word, row) for row in rows for word in (row.verdict or "healthy").split(", ") if word not in UNTOLD]
    said += [(STUCK, row) for row in rows if STUCK not in (row.verdict or "") and queries.stuck(row)]
    said += [("diverged", row) for row in rows if row.diverged]
    said += [(NARROW, row) for row in rows if row.verdict in (None, "not judged") and queries.sharp(row)]
    return {word: [row for what, row in said if what == word] for word in dict.fromkeys(word for word, _ in said)}


def _when(queries: Queries, word: str, rows: list[Row]) -> str:
    """When a word came true of runs, and of narrow ones which joints, where the rows kept that."""
    if word == "diverged":
        return f" (last {listed([f'step {row.steps:,}' for row in rows])})"
    if word == STUCK:
        reach = queries.reach(rows[0].env)
        ends = listed([short(row.training) for row in rows if row.training is not None])
        return f" (at {ends}, where {reach.whose} reached {short(reach.value)})" if reach else ""
    found = [at for row in rows if (at := queries.sharp(row))] if word in MILD else []
    if not found:
        return ""
    names = queries.joints(rows[0].env, 1 + max(j for at in found for j in at.joints))
    often = Counter(names[j] for at in found for j in at.joints).most_common(JOINTS)
    return f" (from step {short(min(at.step for at in found))} on: {listed([name for name, _ in often])})"


def _missing(queries: Queries) -> Iterator[str]:
    missing = [cell for cell in queries.sweep.cells if cell.key not in queries.rows]
    if missing:
        yield f"{len(missing)} of {len(queries.sweep.cells)} runs are missing, so this is a report of what there is."
    if untouched := [env for env in queries.sweep.envs() if env not in queries.envs()]:
        yield f"None yet on {listed(untouched)}."
    for cell in missing:
        if why := failure(cell, queries.where / cell.name):
            yield f"{cell.name} failed: {why}."


def listed(words: Sequence[str]) -> str:
    """a, b and c; with semicolons where a word has commas of its own, as names of arms may."""
    if any(", " in word for word in words):
        return "; ".join(words)
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
