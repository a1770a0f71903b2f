"""What a task's settings may be: their names, types and limits."""

import inspect
import math
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from pgcontrol_envs.task import Task, TaskError

RENAMED = {"xml_file": "xml", "reset_noise_scale": "reset_noise"}
WANTED = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    tuple: "two numbers in ascending order",
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


def hint(name: str, names: Iterable[str]) -> str:
    """A hint for a wrong name: the closest of the names, or all of them if none is close."""
    close = get_close_matches(name, sorted(names), n=2)
    return f"did you mean {' or '.join(close)}?" if close else f"expected one of {', '.join(sorted(names))}"


def require_values(task: type[Task]) -> None:
    """Check the class attributes that settings change, where a class has other values or limits than its base class.

    Raises:
        TaskError: one line names the attribute, its value and what is expected.
    """
    for name, own in keywords(task).items():
        base, value = _typical(task, own), getattr(task, own)
        if isinstance(value, dict) and _inherits(task, own, "reward"):
            _merged(f"{task.id}: {name}", base, value)
        if name in {*_limits(task, "least"), *_limits(task, "most")} or (
            value is not base and not (type(base) is int and isinstance(value, float))
        ):
            taken(task, name, value)


def _inherits(task: type[Task], attribute: str, method: str) -> bool:
    """Whether a method is that of the class which first has the attribute."""
    first = next(one for one in reversed(task.__mro__) if vars(one).get(attribute) is not None)
    return getattr(task, method) is getattr(first, method)


def _typical(task: type[Task], attribute: str) -> Any:
    """The value of an attribute in the most basic class that has one; its type is that of the setting."""
    given = (vars(one).get(attribute) for one in reversed(task.__mro__))
    return next(value for value in given if value is not None)


def taken(task: type[Task], name: str, value: Any) -> Any:
    """Check a value of a setting and convert it to the attribute's type.

    Raises:
        TaskError: one line names the setting, its value and what is expected.
    """
    own, default = getattr(task, keywords(task)[name]), _typical(task, keywords(task)[name])
    if type(default) is int and isinstance(own, float):
        default = own
    kinds: Any = {list: tuple}
    kind: Any = float if isinstance(default, float) else kinds.get(type(default), type(default))  # NumPy's are, too
    if name == "main_body" and isinstance(value, str):
        return value
    if isinstance(default, str) and isinstance(value, str | os.PathLike):
        path = Path(os.path.expanduser(value))
        return str(path.absolute() if str(value).startswith(".") else path)  # ./ and ../ as in Gymnasium
    least = _limits(task, "least").get(name, 1 if kind is int else -math.inf)
    most = _limits(task, "most").get(name, math.inf)

    def number(one: Any, of: Any = int | float | np.integer | np.floating) -> bool:
        return isinstance(one, of) and not isinstance(one, bool) and bool(least <= one <= most)  # False for NaN

    def span(ends: Any) -> bool:
        two = isinstance(ends, tuple | list | np.ndarray) and len(ends) == 2 and all(map(number, ends))
        return two and bool(ends[0] <= ends[1])

    fits = {
        bool: isinstance(value, bool | np.bool_),
        int: number(value, int | np.integer),
        float: number(value),
        tuple: span(value),
        dict: isinstance(value, dict) and all(map(number, value.values())),
        str: False,
    }
    if kind not in fits:
        raise TaskError(f"{task.id}: {name}: a {kind.__name__} cannot be a setting; use {', '.join(WANTED.values())}")
    if not fits[kind]:
        lower = f", at least {least:g}" if least > -math.inf else ""
        limits = f" from {least:g} to {most:g}" if most < math.inf else lower
        raise TaskError(f"{task.id}: {name}: expected {WANTED[kind]}{limits}, got {value!r}")
    if isinstance(value, dict):
        return _merged(f"{task.id}: {name}", getattr(task, name), value)
    # do not convert floats: a NumPy float would change the precision of control costs, as it would in Gymnasium
    return value if isinstance(default, float) else kind(value)


def _merged(setting: str, default: dict[str, float], value: dict[str, float]) -> dict[str, float]:
    """The numbers of a setting with names; names that `value` lacks keep their default."""
    if wrong := [key for key in value if key not in default]:
        raise TaskError(f"{setting}: unknown name {wrong[0]!r}: {hint(wrong[0], default)}")
    return default | value


def _limits(task: type[Task], which: str) -> dict[str, float]:
    """The limits of settings in the tables `least` or `most` of the task's classes, by name."""
    return {name: end for one in reversed(task.__mro__) for name, end in vars(one).get(which, {}).items()}
