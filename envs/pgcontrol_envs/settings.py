"""A task's settings: class attributes that Gymnasium's keyword arguments or the arguments of a name can change.

A subclass that is created for this overrides them.
"""

import inspect
import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from pgcontrol_envs import contract
from pgcontrol_envs.task import Task, TaskError

RENAMED = {"xml_file": "xml", "reset_noise_scale": "reset_noise"}
WANTED = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    tuple: "two numbers, the lower first",
    dict: "names with numbers",
    str: "the path of a file",
}


def keywords(task: type[Task]) -> dict[str, str]:
    """The keyword arguments of a task and the attributes that they set; only attributes that are not None."""
    names: list[str] = [name for one in reversed(task.__mro__) for name in vars(one).get("settings", ())]
    return {name: own for name in names if getattr(task, own := RENAMED.get(name, name), None) is not None}


def explained(task: type[Task]) -> dict[str, str]:
    """The descriptions of a task's attributes in its docstrings, by name."""
    found: dict[str, str] = {}
    for one in reversed(task.__mro__):
        _, _, listed = (inspect.getdoc(one) or "").partition("Attributes:\n")
        for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.rstrip(".").split()))
    return found


def configured(task: type[Task], settings: Mapping[str, Any], also: Iterable[str] = ()) -> type[Task]:
    """The task with changed settings.

    Args:
        task: a task.
        settings: Gymnasium's keyword arguments for the v5 task.
        also: names of further arguments that the caller accepts; used in the hint for a wrong name.

    Raises:
        TaskError: the task has no such argument, or a value is invalid. One line names it.
    """
    if not settings:
        return task
    known = keywords(task)
    for name in settings:
        if name not in known:
            raise TaskError(f"{task.id}: unknown argument {name!r}: {hint(name, {*known, *also})}")
    chosen = {known[name]: _taken(task, name, value) for name, value in settings.items()}
    # keep the module: model files are searched next to the task's own file
    own = type(task.__name__, (task,), chosen | {"__module__": task.__module__, "__doc__": task.__doc__})
    contract.check(own)
    return own


def hint(name: str, names: Iterable[str]) -> str:
    """A hint for a wrong name: the closest of the names, or all of them if none is close."""
    close = get_close_matches(name, sorted(names), n=2)
    return f"did you mean {' or '.join(close)}?" if close else f"expected one of {', '.join(sorted(names))}"


def _taken(task: type[Task], name: str, value: Any) -> Any:
    """Check a value and convert it to the attribute's type."""
    default = getattr(task, keywords(task)[name])
    kind: Any = type(default)
    if name == "main_body" and isinstance(value, str):
        return value
    if isinstance(default, str) and isinstance(value, str | os.PathLike):
        path = Path(os.path.expanduser(value))
        return str(path.absolute() if str(value).startswith(".") else path)  # ./ and ../ as in Gymnasium
    least = 1 if kind is int else _least(task).get(name, -np.inf)
    fits = {
        bool: isinstance(value, bool | np.bool_),
        int: _number(value, int | np.integer, least),
        float: _number(value, least=least),
        tuple: np.shape(value) == (2,) and all(_number(one, least=least) for one in value) and value[0] <= value[1],
        dict: _numbers(value),
        str: False,
    }
    if not fits[kind]:
        wanted = WANTED[kind] + (f", at least {least:g}" if least > -np.inf else "")
        raise TaskError(f"{task.id}: {name}: expected {wanted}, got {value!r}")
    if kind is dict:
        return _merged(f"{task.id}: {name}", getattr(task, name), value)
    # do not convert floats: a NumPy float would change the precision of control costs, as it would in Gymnasium
    return value if isinstance(default, float) else kind(value)


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_number, value.values()))


def _merged(setting: str, default: dict[str, float], value: dict[str, float]) -> dict[str, float]:
    """The numbers of a setting with names; names that `value` lacks keep their default."""
    if wrong := [key for key in value if key not in default]:
        raise TaskError(f"{setting}: unknown name {wrong[0]!r}: {hint(wrong[0], default)}")
    return default | value


def _least(task: type[Task]) -> dict[str, float]:
    """The smallest allowed values of settings, by name."""
    return {name: least for one in reversed(task.__mro__) for name, least in vars(one).get("least", {}).items()}


def _number(value: Any, kind: Any = int | float | np.integer | np.floating, least: float = -np.inf) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and bool(value >= least)  # False for NaN
