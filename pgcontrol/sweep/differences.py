"""Settings in which arms differ: those that the YAML sets, and those from heads, algorithms and defaults."""

from collections.abc import Iterable, Mapping
from typing import Any

from pgcontrol.sweep.cell import Key
from pgcontrol.text import typed


def stated(runs: Iterable[tuple[Key, Mapping[str, Any]]]) -> dict[str, str]:
    """What the YAML sets for each arm, except settings that are the same for all arms: `head: binned, head.bins: 3`.

    Args:
        runs: key and dotted settings of the YAML of each run.
    """
    arms: dict[str, dict[str, list[str]]] = {}  # arm -> setting -> its values
    for key, given in runs:
        own = arms.setdefault(key.arm, {})
        for name, value in given.items():
            if name not in ("env", "seed") and typed(value) not in own.setdefault(name, []):
                own[name].append(typed(value))
    every = list(arms.values())
    own = {arm: {k: v for k, v in set_.items() if any(o.get(k) != v for o in every)} for arm, set_ in arms.items()}
    return {arm: ", ".join(f"{k}: {' / '.join(v)}" for k, v in set_.items()) for arm, set_ in own.items()}


def implied(runs: Iterable[tuple[Key, Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """A line for each setting that the YAML does not set and in which arms on the same task differ.

    For example `algorithm.learning_rate: gaussian 0.001; binned / token 0.0003`, after the names of the tasks if this
    holds only on some. If most arms share a value, they are `the others`. A setting that only one arm has is no
    difference.

    Args:
        runs: key, settings of the YAML and all settings of each run, both dotted. For an arm and a task the first run
            counts, so all seeds of an arm may be given.
    """
    tasks: dict[str, dict[str, dict[str, str | None]]] = {}  # task -> arm -> settings; None: the YAML sets it
    for key, given, settings in runs:
        left_open = {name: None if name in given else typed(value) for name, value in settings.items()}
        tasks.setdefault(key.env, {}).setdefault(key.arm, left_open)
    where: dict[str, list[str]] = {}
    for env, arms in tasks.items():
        for name in dict.fromkeys(name for settings in arms.values() for name in settings):
            values: dict[str, list[str]] = {}
            for arm, settings in arms.items():
                if (value := settings.get(name)) is not None:
                    values.setdefault(value, []).append(arm)
            if len(values) > 1:
                where.setdefault(f"{name}: {_line(values)}", []).append(env)
    return [line if len(envs) == len(tasks) else f"{', '.join(envs)}: {line}" for line, envs in where.items()]


def _line(values: Mapping[str, list[str]]) -> str:
    """The arms with each value."""
    common = max(values, key=lambda value: len(values[value]))
    others = len(values[common]) > max(2, sum(map(len, values.values())) / 2)
    named = [f"{' / '.join(arms)} {value}" for value, arms in values.items() if not (others and value == common)]
    return "; ".join([*named, f"the others {common}"] if others else named)
