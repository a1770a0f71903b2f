"""Settings in which arms differ though the YAML does not say so: what heads, algorithms and defaults bring along."""

from collections.abc import Iterable, Mapping
from typing import Any

from pgcontrol.sweep.sweep import Key
from pgcontrol.text import typed


def implied(runs: Iterable[tuple[Key, Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """A line for each setting that the YAML leaves open and in which arms of one task differ.

    Such as `algorithm.learning_rate: gaussian 0.001; binned / token 0.0003`, behind the tasks where not all are so. A
    setting that only one arm has is its own: it is no difference.

    Args:
        runs: of each its key, what the YAML says and all settings, both dotted. Of an arm and a task the first one
            counts, so the seeds of an arm may all be given.
    """
    tasks: dict[str, dict[str, dict[str, str | None]]] = {}  # task -> arm -> settings; None: the YAML says it
    for key, said, settings in runs:
        left_open = {name: None if name in said else typed(value) for name, value in settings.items()}
        tasks.setdefault(key.env, {}).setdefault(key.arm, left_open)
    where: dict[str, list[str]] = {}
    for env, arms in tasks.items():
        for name in dict.fromkeys(name for settings in arms.values() for name in settings):
            values: dict[str, list[str]] = {}
            for arm, settings in arms.items():
                if (value := settings.get(name)) is not None:
                    values.setdefault(value, []).append(arm)
            if len(values) > 1:
                told = "; ".join(f"{' / '.join(names)} {value}" for value, names in values.items())
                where.setdefault(f"{name}: {told}", []).append(env)
    return [line if len(envs) == len(tasks) else f"{', '.join(envs)}: {line}" for line, envs in where.items()]
