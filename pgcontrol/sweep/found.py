"""NAME.found.yaml: the settings that a search found for each arm of NAME.yaml, and their source."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pgcontrol.machine import files, yaml_file
from pgcontrol.options import InputError
from pgcontrol.runs.config import flat
from pgcontrol.sweep import trials
from pgcontrol.sweep.search import Search, on_task
from pgcontrol.sweep.space import Settings
from pgcontrol.sweep.trials import TrialRow

HEAD = """\
# What the search of {name} found: the sweep's reported runs use it. Written by `pgcontrol compare {name}`.
"""
SUFFIX = ".found.yaml"


def file_of(sweep: Path) -> Path:
    """The file with the found settings of a sweep."""
    return sweep.with_suffix(SUFFIX)


def read(file: Path) -> dict[str, Settings]:
    """Arm -> found settings, dotted; empty if there are none yet.

    Raises:
        InputError: the file is damaged.
    """
    return {arm: flat(_settings(file, arm, kept)) for arm, kept in _read(file).items()}


def read_per_task(file: Path) -> dict[str, Settings]:
    """Like `read`, with the settings of the best finished trial on each task, by `search.on_task`.

    Raises:
        InputError: the file is damaged, or was written for one task or by an older version.
    """
    found = dict[str, Settings]()
    for arm, kept in _read(file).items():
        kept = kept if isinstance(kept, dict) else {}
        tasks = kept.get("tasks")
        if isinstance(tasks, list) and len(tasks) == 1:  # of a search on one task, or for each task
            found[on_task(arm.removesuffix(on_task("", tasks[0])), tasks[0])] = flat(_settings(file, arm, kept))
            continue
        each = kept.get("best_on")
        if not isinstance(each, dict) or not each:
            advice = "delete this file and search again; the trials are kept"
            raise InputError(f"{file}: {arm}: best_on = {each!r}: must have the best trial of each task: {advice}")
        for task, best in each.items():
            found[on_task(arm, task)] = flat(_settings(file, f"{arm}: best_on: {task}", best))
    return found


def _read(file: Path) -> Mapping[str, Any]:
    return yaml_file.read(file, "what a search found for each arm") if file.exists() else {}


def _settings(file: Path, arm: str, kept: Any) -> Mapping[str, Any]:
    found = kept.get("settings") if isinstance(kept, dict) else None
    if not isinstance(found, dict):
        raise InputError(
            f"{file}: {arm}: settings = {found!r}: must map settings to values; delete this file to search again"
        )
    return found


def answers(file: Path, search: Search) -> bool:
    """Whether a file has the result of this search, with this number of trials."""
    kept = _read(file)
    return all(
        isinstance(there := kept.get(arm), dict)
        and there.get("search") == search.fingerprint(arm)
        and isinstance(made := there.get("trials"), dict)
        and sum(n for n in made.values() if isinstance(n, int)) == search.trials
        for arm in search.searched()
    )


def write(file: Path, sweep: Path, search: Search, rows: Sequence[TrialRow], zero: Mapping[str, float]) -> None:
    """Write the best trial of each arm, with all that is needed to repeat the search.

    Args:
        file: the file to write.
        sweep: the YAML.
        search: the finished search.
        rows: the rows of its trials.
        zero: task -> return that is normalised to 0.

    Raises:
        InputError: an arm has no finished trial.
    """
    own = trials.first(rows, search.trials)
    tree = {arm: _entry(search, own, arm, zero) for arm in search.searched()}
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
    files.replace({file: HEAD.format(name=sweep.name) + text})


def _entry(search: Search, rows: Sequence[TrialRow], arm: str, zero: Mapping[str, float]) -> dict[str, Any]:
    best = trials.best(rows, arm)
    if not best.trials:
        how = ", ".join(f"{n} {state}" for state, n in best.counts.items())
        raise InputError(f"search: no trial of arm {arm!r} finished ({how}), so there is no choice")
    first, second = best.trials[0], next(iter(best.trials[1:]), None)
    kept = {"settings": first.settings, "score": _rounded(first.score), "trial": first.number}
    if second:
        kept["second"] = {"score": _rounded(second.score), "trial": second.number, "settings": second.settings}
    if len(search.tasks_of(arm)) > 1:
        kept["best_on"] = {task: _on(task, best.trials) for task in search.tasks_of(arm)}
    kept["seeds_differ_by"] = None if best.noise is None else _rounded(best.noise)
    kept["trials"] = best.counts
    tasks = search.tasks_of(arm)
    kept |= {"tasks": list(tasks), "seeds": list(search.seeds), "budget": search.budget}
    kept |= {
        "scored": search.score,
        "zero": {task: _rounded(zero[task]) for task in tasks if task in zero},
        "reference": {task: search.reference[task] for task in tasks if task in search.reference},
    }
    kept |= {"sampler": search.sampler, "pruner": search.pruner, "evaluations": search.evaluations}
    own = [row for row in rows if row.arm == arm]
    kept["steps"] = sum(row.steps for row in own)  # fewer if more trials were stopped early
    return kept | {
        "date": max(row.date for row in own),
        "revision": ", ".join(dict.fromkeys(row.revision or "unknown" for row in own)),
        "optuna": first.optuna,
        "search": search.fingerprint(arm),
    }


def _on(task: str, rows: Sequence[TrialRow]) -> dict[str, Any]:
    """The best finished trial on one task; of two equal trials, the one that is better on all tasks."""
    best = max(rows, key=lambda row: row.on(task))
    return {"settings": best.settings, "score": _rounded(best.on(task)), "trial": best.number}


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")
