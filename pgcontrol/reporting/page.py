"""The page of a sweep: one HTML file that needs no network."""

import base64
import hashlib
import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pgcontrol.charts import chart
from pgcontrol.machine import files
from pgcontrol.machine.templates import template
from pgcontrol.reporting import figures, maps, problems, searched, settled, tables
from pgcontrol.reporting.figures import Figure
from pgcontrol.reporting.narrative import answer
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep.cell import Key, command
from pgcontrol.sweep.differences import implied
from pgcontrol.sweep.results import repeated
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.text import count, short, typed


def write(queries: Queries, clips: Mapping[Key, Path] | None = None) -> Path:
    """Write NAME.html next to the YAML.

    Args:
        queries: must have at least one row.
        clips: the videos to embed, by run.

    Returns:
        The path of the file.
    """
    sweep, envs = queries.sweep, queries.envs()
    distributions = {env: found for env in envs if (found := maps.maps(queries, env))}
    text = template("pgcontrol.reporting", "page.html.jinja", hashed=_hashed).render(
        queries=queries,
        sweep=sweep,
        question=sweep.question or sweep.path.stem,
        command=f"pgcontrol compare {tables.shown(sweep)}",
        settled=settled.answer(queries),
        picture=settled.figure(queries),
        definitions=settled.definitions(queries),
        compared=settled.table(queries),
        comparison=settled.COLUMNS,
        answer=answer(queries),
        columns=tables.COLUMNS,
        table=tables.lines(queries),
        outcomes=tables.outcomes(queries),
        outcome=tables.OUTCOMES,
        measured=tables.measured(queries),
        measures=tables.MEASURED,
        troubled=problems.table(queries),
        trouble=problems.COLUMNS,
        troubles=problems.MEANING,
        noises=tables.noises(queries),
        noise=tables.NOISE,
        enough=tables.enough(queries),
        sections=_sections(queries),
        search=_search(queries),
        joints={env: drawn for env in envs if (drawn := [*figures.spread_of_joints(queries, env)])},
        maps=distributions,
        moments=[found.moments for of_env in distributions.values() for found in of_env],
        videos=_videos(queries, clips or {}),
        runs=[_run(sweep, row) for _, row in sorted(queries.rows.items())],
        common=common(queries),
        stated=queries.stated,
        implied=implied((row.key, row.settings, row.config or {}) for row in queries.rows.values()),
        versions=_versions(queries),
        machines=_machines(queries),
        unclean=tables.unclean(queries),
        style=Markup(chart.style()),
    )
    out = sweep.path.with_suffix(".html")
    files.replace({out: text})
    return out


def _hashed(content: str) -> str:
    """The source expression by which a Content-Security-Policy allows an inline element with this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _sections(queries: Queries) -> dict[str, list[list[Figure]]]:
    """Section -> groups of figures; the titles and introductions are in the template."""
    envs = queries.envs()
    together = figures.improvement(queries, *envs) if len(envs) > 1 else None
    found = {
        "scores": [*([figures.scores(queries, e), figures.improvement(queries, e)] for e in envs), [together]],
        "learning": [*(figures.learning(queries, e) for e in envs), [figures.learning_together(queries)]],
        "profile": [[figures.profiles(queries)]],
        "threshold": [figures.thresholds(queries, e) for e in envs],
        "spread": [[figures.over_training(queries, e, "train/std", "spread, mean over joints", True) for e in envs]],
        "routes": [maps.routes(queries, e) for e in envs],
        "health": [figures.health(queries, e) for e in envs],
        "search": searched.figures(queries),
    }
    return {key: [there for group in groups if (there := [*filter(None, group)])] for key, groups in found.items()}


def _search(queries: Queries) -> dict[str, Any]:
    """The template's data on the search, without its figures."""
    return {
        "lead": searched.lead(queries) if queries.trials else "",
        "words": searched.words(queries),
        "arms": searched.arms(queries),
        "columns": searched.COLUMNS,
        "table": searched.table(queries),
    }


def _videos(queries: Queries, clips: Mapping[Key, Path]) -> dict[str, list[tuple[Row, str]]]:
    """Rows with their videos in base64, by task; if no task has several videos, all are under the empty name."""
    videos = [
        (queries.rows[key], base64.b64encode(files.plain(file).read_bytes()).decode()) for key, file in clips.items()
    ]
    groups = {env: [*group] for env, group in itertools.groupby(videos, lambda video: video[0].env)}
    return {"": videos} if len(videos) == len(groups) > 0 else groups


def _run(sweep: Sweep, row: Row) -> dict[str, Any]:
    words = command({"env": row.env} | repeated(row), Path("runs") / sweep.path.stem / row.key.name)
    details = {"diagnosis": row.why, "command": shlex.join(["pgcontrol", *words]), "borrowed from": row.lender}
    details |= {"from the search": ", ".join(f"{key} {typed(row.settings[key])}" for key in _searched(row))}
    details |= {"revision": row.revision or "unknown"} | {k: _plain(v) for k, v in row.provenance.items()}
    returns = ["" if value is None else short(value) for value in (row.evaluated, row.sampled, row.training)]
    returns[0] += "" if row.error is None else f" ± {short(row.error)}"
    word = row.verdict or ("diverged" if row.diverged else "")
    numbers = [row.env, row.arm, row.seed, *returns, f"{row.steps:,}", f"{row.seconds:,.0f}", word, row.date]
    return {"numbers": numbers, "details": {name: text for name, text in details.items() if text}}


def _searched(row: Row) -> list[str]:
    """Settings that a search found."""
    return [key for key, origin in row.origins.items() if origin == "search" and key in row.settings]


def _plain(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else json.dumps(value)


def common(queries: Queries) -> list[tuple[str, dict[str, str]]]:
    """The settings that all runs share, and the further settings that all runs of an arm share, by arm."""
    rows = queries.rows.values()
    runs = [(r.arm, {k: typed(v) for k, v in r.known.items() if k not in ("env", "seed")}) for r in rows]
    same = _agreed([settings for _, settings in runs])
    arms = [(arm, _agreed([settings for a, settings in runs if a == arm])) for arm in queries.arms()]
    return [("every run", same), *((arm, {k: v for k, v in own.items() if k not in same}) for arm, own in arms)]


def _agreed(runs: Sequence[dict[str, str]]) -> dict[str, str]:
    """The settings that have the same value in all runs."""
    first = runs[0] if runs else {}
    return {k: v for k, v in first.items() if all(run.get(k) == v for run in runs)}


def _versions(queries: Queries) -> list[str]:
    """The different sets of versions with which rows were made, as text."""
    sets = [row.provenance.get("versions") for row in queries.rows.values()]
    known = list(dict.fromkeys(_plain(v) for v in sets if v))
    return known + (["some rows were made before versions were recorded"] if None in sets else [])


def _machines(queries: Queries) -> list[str]:
    """The kinds of machines on which the runs ended, with the range of their load, as text."""
    loads: dict[str, list[float]] = {}
    for row in queries.rows.values():
        if kind := row.provenance.get("machine"):
            loads.setdefault(f"{kind['cpu']}, {count(kind['cores'], 'core')}", []).extend(
                row.provenance.get("load", [])[-1:]
            )
    return [f"{kind} (load {min(of):g} to {max(of):g})" if of else kind for kind, of in loads.items()]
