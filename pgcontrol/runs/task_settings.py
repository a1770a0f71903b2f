"""The settings of tasks, in the `--help` of commands. Slow imports wait until a task is named."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pgcontrol.flags import OF_THE_TASK, Section
from pgcontrol.options import option


def section(env: str, title: str) -> list[Section]:
    """The settings `env.NAME` of a task, with their values; empty if there are none."""
    from pgcontrol.runs.catalog import settings_of

    if not (named := settings_of(env)):
        return []
    own = dataclasses.make_dataclass("Own", [(name, Any, option(*one)) for name, one in named.items()])
    return [Section(title, own(), "env.")]


def of_played(sources: Iterable[Path | None]) -> list[Section]:
    """The settings of the tasks of runs, checkpoints or task ids; a line that says where they are if there are none."""
    tasks = dict.fromkeys(filter(None, map(_task, sources)))
    return [part for env in tasks for part in section(env, f"settings of {env}:")] or [OF_THE_TASK]


def _task(source: Path | None) -> str | None:
    """The task of a run folder or of its checkpoint; any other path is a task's id.

    Raises:
        InputError: the run's config.yaml is damaged.
    """
    if source is None:
        return None
    from pgcontrol.runs import checkpoint
    from pgcontrol.runs.folder import RunFolder

    run = RunFolder(source.parent.parent if checkpoint.is_one(source) else source)
    return run.settings().get("env") if run.config_file.exists() else str(source)
