"""Settings in which arms differ though the YAML does not say so: what heads, algorithms and defaults bring along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pgcontrol.text import typed


class Setup(NamedTuple):
    """How one arm runs on one task."""

    env: str
    arm: str
    said: Mapping[str, Any]
    """What the YAML says, dotted."""
    run: Mapping[str, Any]
    """All settings that make the run, dotted, but env and seed."""


def implied(setups: Iterable[Setup]) -> list[str]:
    """A line for each setting that the YAML leaves open and in which arms of one task differ.

    Such as `algorithm.learning_rate: gaussian 0.001; binned / token 0.0003`, behind the tasks where not all are so. A
    setting that only one arm has is its own: it is no difference.

    Args:
        setups: of an arm and a task the first one counts, so the seeds of an arm may all be given.
    """
    tasks: dict[str, dict[str, Setup]] = {}
    for setup in setups:
        tasks.setdefault(setup.env, {}).setdefault(setup.arm, setup)
    where: dict[str, list[str]] = {}
    for env, arms in tasks.items():
        for key in dict.fromkeys(key for setup in arms.values() for key in setup.run):
            values: dict[str, list[str]] = {}  # value -> the arms that have it, and have it unsaid
            for setup in arms.values():
                if key in setup.run and key not in setup.said:
                    values.setdefault(typed(setup.run[key]), []).append(setup.arm)
            if len(values) > 1:
                told = "; ".join(f"{' / '.join(names)} {value}" for value, names in values.items())
                where.setdefault(f"{key}: {told}", []).append(env)
    return [line if len(envs) == len(tasks) else f"{', '.join(envs)}: {line}" for line, envs in where.items()]
