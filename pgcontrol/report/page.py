"""The page: what there is of a sweep, put into one HTML file that needs no network."""

import base64
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
from pgcontrol.report import figures, maps, tables
from pgcontrol.report.figures import Figure
from pgcontrol.report.narrative import answer
from pgcontrol.report.queries import Queries
from pgcontrol.sweep.differences import implied
from pgcontrol.sweep.results import repeated
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Key, Sweep, command
from pgcontrol.text import short, typed


def write(queries: Queries, clips: Mapping[Key, Path] | None = None) -> Path:
    """NAME.html beside the YAML.

    Args:
        queries: at least one row.
        clips: videos to put in, by run.

    Returns:
        The file.
    """
    sweep, envs = queries.sweep, queries.envs()
    distributions = {env: found for env in envs if (found := maps.maps(queries, env))}
    text = template("pgcontrol.report", "page.html.jinja").render(
        queries=queries,
        sweep=sweep,
        question=sweep.question or sweep.path.stem,
        command=f"pgcontrol compare {tables.shown(sweep)}",
        answer=answer(queries),
        columns=tables.COLUMNS,
        table=tables.lines(queries),
        sections=_sections(queries),
        joints={env: drawn for env in envs if (drawn := [*figures.spread_of_joints(queries, env)])},
        maps=distributions,
        moments=[found.moments for of_env in distributions.values() for found in of_env],
        videos=_videos(queries, clips or {}),
        runs=[_run(sweep, row) for _, row in sorted(queries.rows.items())],
        common=common(queries),
        implied=implied((row.key, row.settings, row.config or {}) for row in queries.rows.values()),
        versions=_versions(queries),
        style=Markup(chart.style()),
    )
    out = sweep.path.with_suffix(".html")
    files.replace({out: text})
    return out


def _sections(queries: Queries) -> dict[str, list[list[Figure]]]:
    """Groups of figures by the section they stand in; titles and leads are in the template."""
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
    }
    return {key: [there for group in groups if (there := [*filter(None, group)])] for key, groups in found.items()}


def _videos(queries: Queries, clips: Mapping[Key, Path]) -> list[tuple[str, list[dict[str, str]]]]:
    """Task by task with its name, or, where no task has several, all together without."""
    groups = [
        (env, [_video(queries.rows[key], clips[key]) for key in keys])
        for env, keys in itertools.groupby(clips, lambda key: key.env)
    ]
    if any(len(videos) > 1 for _, videos in groups):
        return groups
    return [("", [video for _, videos in groups for video in videos])] if groups else []


def _video(row: Row, file: Path) -> dict[str, str]:
    return {
        "arm": row.arm,
        "title": f"{row.arm}, {row.env}",
        "says": f"seed {row.seed}, return {short(row.score)}",
        "source": f"data:video/mp4;base64,{base64.b64encode(file.read_bytes()).decode()}",
    }


def _run(sweep: Sweep, row: Row) -> dict[str, Any]:
    details = {
        **({"diagnosis": row.why} if row.why else {}),
        "command": shlex.join(["pgcontrol", *command(repeated(row), Path("runs") / sweep.path.stem / row.key.name)]),
        **({"borrowed from": row.lender} if row.lender else {}),
        "revision": row.revision or "not known",
        **{k: _plain(v) for k, v in row.provenance.items()},
    }
    returns = ["" if value is None else short(value) for value in (row.evaluated, row.sampled, row.training)]
    word = row.verdict or ("diverged" if row.diverged else "")
    numbers = [row.env, row.arm, row.seed, *returns, f"{row.steps:,}", f"{row.seconds:,.0f}", word, row.date]
    return {"numbers": numbers, "details": details}


def _plain(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else json.dumps(value)


def common(queries: Queries) -> list[tuple[str, dict[str, str]]]:
    """What all runs share, and what each arm has of its own beside it, where its runs agree."""
    rows = queries.rows.values()
    runs = [(r.arm, {k: typed(v) for k, v in r.known.items() if k not in ("env", "seed")}) for r in rows]
    same = _agreed([settings for _, settings in runs])
    arms = [(arm, _agreed([settings for a, settings in runs if a == arm])) for arm in queries.arms()]
    return [("every run", same), *((arm, {k: v for k, v in own.items() if k not in same}) for arm, own in arms)]


def _agreed(runs: Sequence[dict[str, str]]) -> dict[str, str]:
    """The settings that are in all runs, with one value."""
    return {k: v for k, v in runs[0].items() if all(run.get(k) == v for run in runs)}


def _versions(queries: Queries) -> list[str]:
    """Each set of versions that rows were made with, in words."""
    sets = [row.provenance.get("versions") for row in queries.rows.values()]
    told = list(dict.fromkeys(_plain(v) for v in sets if v))
    return told + (["some rows were made before versions were kept"] if None in sets else [])
