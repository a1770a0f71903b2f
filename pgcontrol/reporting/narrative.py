"""The answer in words, from the statistics: which arm is best on which task, by how much, how sure, what failed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.measures import error_rates
from pgcontrol.measures.statistics import LEVEL
from pgcontrol.measures.verdicts import MEANINGS, STUCK
from pgcontrol.reporting import problems
from pgcontrol.reporting.problems import DIVERGED, MILD
from pgcontrol.reporting.queries import Queries, percent
from pgcontrol.reporting.standings import Improvement, Standing, improvement, standings
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.run_state import failure
from pgcontrol.text import count, difference, probability, short

FEW = 3  # with fewer seeds, a difference is only a hint
BOUNDED = 4  # with fewer seeds, an interval is only the range of the runs
JOINTS = 3  # maximum number of narrow joints that are named: those that are narrow in most runs
# a route with at least this share of a run's successes counts as its only route; a few other episodes are ignored
ONE_WAY = 0.95


class Paragraph(NamedTuple):
    """A paragraph whose first sentence, `lead`, is emphasised."""

    lead: str
    rest: str


def answer(queries: Queries) -> list[Paragraph]:
    """Paragraphs on all tasks, on each task, on its routes and problems if it has any, and on missing runs."""
    ranked = {env: standings(queries, env) for env in queries.envs()}
    found = [_overall(queries, ranked)] if len(ranked) > 1 else []
    found += [_on(queries, env, arms) for env, arms in ranked.items()]
    found += [_ways(queries, env) for env in queries.envs()]
    found += [_trouble(queries, env) for env in queries.envs()]
    found.append(_meanings(queries))
    found.append(Paragraph("", " ".join(_missing(queries))))
    return [p for p in found if p.rest or p.lead]


def _overall(queries: Queries, every: dict[str, list[Standing]]) -> Paragraph:
    """Whether an arm is better than the baseline, and which arm has the highest score on which task."""
    ranked = {env: found for env, found in every.items() if len(found) > 1}
    best: dict[str, list[str]] = {}
    for env, found in ranked.items():
        first = _first(found)
        best.setdefault(listed([s.arm for s in first]) + " (equal)" * (len(first) > 1), []).append(env)
    led = [f"{arms} on {listed(envs)}" for arms, envs in sorted(best.items(), key=lambda b: -len(b[1]))]
    hint = " (one seed only)" if all(len(s.scores) == 1 for found in ranked.values() for s in found) else ""
    found = [*_verdict(queries, ranked, [*best]), f"Highest score{hint}: {'; '.join(led)}." if led else ""]
    found += [_together(queries), _against_references(queries, every), *_against_means(queries, every)]
    lead, *more = [*filter(None, found), ""]
    return Paragraph(lead, " ".join(more).rstrip())


def _verdict(queries: Queries, ranked: dict[str, list[Standing]], best: list[str]) -> Iterator[str]:
    """The answer to "which is best?" first, then the significant differences from the baseline."""
    base = queries.sweep.baseline
    compared = [s for found in ranked.values() for s in found if s.ahead]
    if compared and not any(s.settled > 0 for s in compared):
        arms = {s.arm for s in compared}
        who = "No arm is" if len(arms) > 1 else f"{listed([*arms])} is not"
        yield f"{who} significantly better than the baseline {base} on any task."
    elif best:
        who = "No arm has" if len(best) > 1 else f"{best[0]} {'have' if best[0].endswith(')') else 'has'}"
        yield f"{who} the highest score on every task."
    for side, words in ((1, "better"), (-1, "worse")):
        where: dict[tuple[str, ...], list[str]] = {}
        for arm in queries.arms():
            if envs := tuple(env for env in ranked for s in ranked[env] if s.arm == arm and s.settled == side):
                where.setdefault(envs, []).append(arm)
        for envs, arms in where.items():
            are = "is" if len(arms) == 1 else "are"
            yield f"On {listed(envs)}, {listed(arms)} {are} significantly {words} than the baseline {base}."


def _first(ranked: list[Standing]) -> list[Standing]:
    """The arms with the highest score."""
    return [s for s in ranked if s.score.estimate == ranked[0].score.estimate]


def _against_references(queries: Queries, ranked: dict[str, list[Standing]]) -> str:
    """On which tasks the best arm reaches the best reference."""
    found: dict[str, list[str]] = {"as much or more": [], "less, with the reference in its interval,": [], "less": []}
    more, within, less = found.values()
    for env in queries.envs():
        if others := queries.sweep.references.get(env):
            best, theirs = ranked[env][0].score, max(other.value for other in others)
            (more if best.estimate >= theirs else within if best.high >= theirs else less).append(env)
    tasks = "; ".join(f"{words} on {listed(envs)}" for words, envs in found.items() if envs)
    return f"Compared with the best reference of each task, the best arm scores {tasks}." if tasks else ""


def _against_means(queries: Queries, ranked: dict[str, list[Standing]]) -> Iterator[str]:
    """How often the best arm reaches the best mean that others report for several seeds, and how even its seeds are."""
    tasks = dict[str, bool]()
    for env, (best, *_) in ranked.items():
        if theirs := [r.value for r in queries.sweep.references.get(env, ()) if r.several]:
            tasks[env] = best.score.estimate >= max(theirs)
    if not tasks:
        return
    yield f"It reaches the best mean that others report for several seeds on {_of(tasks)}."
    even = {env: best.even for env, (best, *_) in ranked.items() if len(best.scores) >= BOUNDED}
    if even:
        yield f"The lower quartile of its seeds is at most a third below the IQM on {_of(even)}."


def _of(tasks: dict[str, bool]) -> str:
    """On how many of the tasks something is true, and on which it is not."""
    without = [env for env, there in tasks.items() if not there]
    some = f" (not on {listed(without)})" if without and len(without) < len(tasks) else ""
    return f"{len(tasks) - len(without)} of {count(len(tasks), 'task')}{some}"


def _on(queries: Queries, env: str, ranked: list[Standing]) -> Paragraph:
    first, base = _first(ranked), next((s for s in ranked if s.arm == queries.sweep.baseline), None)
    best = base if base and base in first else first[0]
    did = "has the highest score" if len(first) == 1 else "have the same highest score"
    if base and base not in first:
        did += f", {'' if best.settled > 0 else 'not '}significantly above the baseline"
    arms = listed([f"the baseline {s.arm}" if s is base else s.arm for s in first])
    lead = f"On {env}, {arms} {did if len(ranked) > 1 else 'scored'}: {_score(best)}."
    found = []
    if base and base is not best and best.ahead and best.better:
        share = best.ahead.estimate / base.score.estimate if base.score.estimate > 0 else 0.0
        more = _off(best, base)
        more += f" ({percent(share)})" if share >= 0.005 else ""
        surely = _sure(best, best.better, base)
        found.append(f"That is {more} more than the baseline {base.arm}'s {_score(base)}; {surely}.")
    found += [*_others(best, base, ranked), *_gap(queries, env, ranked), *_references(queries, env, best)]
    return Paragraph(lead, " ".join(found))


def _score(standing: Standing) -> str:
    estimate, low, high = map(short, standing.score)
    if len(standing.scores) == 1:
        return f"{estimate}, one seed only"
    level = f"{percent(LEVEL)} " if len(standing.scores) >= BOUNDED else ""
    return f"{estimate} ({level}{low} to {high}, {len(standing.scores)} seeds)"


def _sure(standing: Standing, better: Improvement, base: Standing) -> str:
    if standing.seeds < FEW:
        return f"with {count(standing.seeds, 'seed')} to compare, this is only a hint"
    if better.won == better.pairs:
        beats = f"every run of it beats every run of {base.arm} ({better.pairs} of {better.pairs} pairs)"
    else:
        estimate, low, high = map(probability, better.interval)
        share = f"{better.won:g} of {better.pairs} pairs (a share of {estimate}, {percent(LEVEL)} {low} to {high})"
        beats = f"a run of it beats a run of {base.arm} in {share}"
    if standing.settled:
        return f"{beats}, which is significant"
    if better.won == better.pairs:
        return f"{beats}, but with so few runs one of two equal arms does so one time in {1 / better.p_value:.0f}"
    return f"{beats}, which is not significant"


def _off(standing: Standing, base: Standing | None) -> str:
    """How far an arm is from the baseline, as precise as the larger of the two scores."""
    if standing.ahead is None or base is None:
        return ""
    return difference(abs(standing.ahead.estimate), max(abs(s.score.estimate) for s in (standing, base)))


def _others(best: Standing, base: Standing | None, ranked: list[Standing]) -> Iterator[str]:
    other = [s for s in ranked if s is not best and s is not base and s.score != best.score]
    rest = [s for s in other if s.ahead]
    below = "it" if base is best else "the baseline"
    for side, words in ((1, "Also significantly above the baseline"), (-1, f"Significantly below {below}")):
        if group := [f"{s.arm} (by {_off(s, base)})" for s in rest if s.settled == side]:
            yield f"{words}: {listed(group)}."
    unsettled = [s for s in rest if s.settled == 0 and s.seeds >= FEW]
    for side, words in ((1, "above"), (0, "below")):
        if wholly := [s.arm for s in unsettled if s.better and s.better.won == side * s.better.pairs]:
            few = "but with so few runs this is not significant"
            yield f"Every run is {words} all runs of the baseline, {few}: {listed(wholly)}."
    if open_ := [s.arm for s in unsettled if s.better and 0 < s.better.won < s.better.pairs]:
        yield f"Not significantly different from the baseline: {listed(open_)}."
    if hints := [f"{s.arm} {short(s.score.estimate)}" for s in other if s.seeds < FEW]:
        yield f"Only hints, because there are fewer than {FEW} seeds: {listed(hints)}."


def _gap(queries: Queries, env: str, ranked: list[Standing]) -> Iterator[str]:
    """Arms of which most runs have a weak mode: the mode does not show what was learned."""
    for s in ranked:
        rows = queries.of(env, s.arm)
        if s.sampled is not None and 2 * sum(map(queries.weak_mode, rows)) > len(rows):
            yield f"The samples of {s.arm} score {short(s.sampled)}, its mode only {short(s.score.estimate)}."


def _references(queries: Queries, env: str, best: Standing) -> Iterator[str]:
    found = []
    for other in sorted(queries.sweep.references.get(env, ()), key=lambda r: -r.value):
        there = sum(score >= other.value for score in best.scores)
        found.append(f"{other.name} {short(other.value)} ({there} of {count(len(best.scores), 'run')})")
    if found:
        yield f"References, and how many runs of {best.arm} reach them: {listed(found)}."


def _ways(queries: Queries, env: str) -> Paragraph:
    """For a task with routes: which arms use more than one of them when they sample, and how often they succeed."""
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
    found = []
    if several:
        found.append(f"more than one is used by {listed(several)}")
    if one:
        shares = sorted(share for _, share, _ in one)
        alike = shares[-1] - shares[0] < 0.005 and not any(ended for *_, ended in one)
        about = [arm if alike else f"{arm} (success {percent(share)}{ended})" for arm, share, ended in one]
        every = f" (success {percent(shares[0])})" if alike else ""
        found.append(f"only one of them is used by every successful run of {listed(about)}{every}")
    if none:
        found.append(f"no run succeeds with {listed(none)}")
    if not found:
        return Paragraph("", "")
    names = next(row.routes.names for row in queries.on(env) if row.routes)
    return Paragraph(f"Of the {len(names)} routes of {env},", f"{'; '.join(found)}.")


def _main(taken: np.ndarray) -> float:
    """The share of the most frequent route among the successes."""
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
            clear.append(f"{arm} {better}, significantly {'better' if better.clearly > 0 else 'worse'}")
        else:
            rest.append(f"{arm} (P = {probability(better.interval.estimate)})")
    if not tasks:
        return ""
    groups = [*clear, *([f"not significantly different from the baseline: {listed(rest)}"] if rest else [])]
    over = f"{min(tasks)} to {max(tasks)}" if len(tasks) > 1 else str(*tasks)
    about = f"P(better) is the probability that a run of an arm scores higher than a run of the baseline {base}."
    return f"{about} Its mean over {over} tasks: {'; '.join(groups)}."


def _trouble(queries: Queries, env: str) -> Paragraph:
    """The problems on a task and the arms that have them, the serious ones first."""
    happened: dict[str, list[str]] = {}
    for arm in queries.arms(env):
        rows = queries.of(env, arm)
        for word, those in problems.of(queries, rows).items():
            often = f"{len(those)} of {count(len(rows), 'run')}"
            happened.setdefault(word, []).append(f"{arm} in {often}{_when(queries, word, those)}")
    words = sorted(happened, key=lambda w: (w in MILD, MILD.index(w) if w in MILD else 0))
    found = [f"{word.capitalize()}{_than(queries, env, word)}: {listed(happened[word])}." for word in words]
    which = "Possible problems" if set(words) <= set(MILD) else "Problems"
    return Paragraph(f"{which} on {env}." if found else "", " ".join(found))


def _meanings(queries: Queries) -> Paragraph:
    """The definitions of the problems that are listed, and how often these verdicts are wrong."""
    listed_words = problems.of(queries, list(queries.rows.values()))
    found = [f"“{word}”: {meaning}" for word, meaning in MEANINGS.items() if word in listed_words]
    known = error_rates.sentences(listed_words)
    return Paragraph("", f"{'; '.join(found)}. {known}".rstrip() if found else "")


def _than(queries: Queries, env: str, word: str) -> str:
    """What other runs of the task reached, for runs that are stuck."""
    reach = queries.reach(env) if word == STUCK else None
    return f", while {reach.whose} reached {short(reach.value)}" if reach else ""


def _when(queries: Queries, word: str, rows: list[Row]) -> str:
    """When the verdict first held in these runs, and for narrow ones which joints, if the rows have that."""
    if word == DIVERGED:
        return f" (last {listed([f'step {row.steps:,}' for row in rows])})"
    if word == STUCK:
        ends = listed([short(row.training) for row in rows if row.training is not None])
        return f" (at {ends})" if ends else ""
    found = [at for row in rows if (at := queries.sharp(row))] if word in MILD else []
    if not found:
        return ""
    names = queries.joints(rows[0].env, 1 + max(j for at in found for j in at.joints))
    often = Counter(names[j] for at in found for j in at.joints).most_common(JOINTS)
    return f" (from step {short(min(at.step for at in found))}: {listed([name for name, _ in often])})"


def _missing(queries: Queries) -> Iterator[str]:
    if queries.missing:
        yield f"{len(queries.missing)} of {len(queries.sweep.cells)} runs are missing, so this report is incomplete."
    if untouched := [env for env in queries.sweep.envs() if env not in queries.envs()]:
        yield f"There is no run yet on {listed(untouched)}."
    for cell in queries.missing:
        if why := failure(cell, queries.where / cell.name):
            yield f"{cell.name} failed: {why}."


def listed(words: Sequence[str]) -> str:
    """a, b and c; separated by semicolons if a word contains a comma, as names of arms may."""
    if any(", " in word for word in words):
        return "; ".join(words)
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
