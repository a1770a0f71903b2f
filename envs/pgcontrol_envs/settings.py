"""What can be set of a task, as Gymnasium's keyword arguments and by a name's arguments: its class attributes.

Each is overridden in a subclass made for the purpose.
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
    tuple: "two numbers, the lower one first",
    str: "a file's path",
}


def keywords(task: type[Task]) -> dict[str, str]:
    """The keyword arguments that a task takes, and the attributes that they set: those that it has, and not as None."""
    names: list[str] = [name for one in reversed(task.__mro__) for name in vars(one).get("settings", ())]
    return {name: own for name in names if getattr(task, own := RENAMED.get(name, name), None) is not None}


def explained(task: type[Task]) -> dict[str, str]:
    """What the docstrings say of a task's attributes, by their names."""
    found: dict[str, str] = {}
    for one in reversed(task.__mro__):
        _, _, listed = (inspect.getdoc(one) or "").partition("Attributes:\n")
        for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.rstrip(".").split()))
    return found


def configured(task: type[Task], settings: Mapping[str, Any], also: Iterable[str] = ()) -> type[Task]:
    """The task with other settings than its own.

    Args:
        task: a task.
        settings: Gymnasium's keyword arguments of the v5 task.
        also: further names, of arguments that the caller takes: what a wrong name is compared with.

    Raises:
        TaskError: an argument that the task does not take, or a value that it cannot be; one line names it.
    """
    if not settings:
        return task
    known = keywords(task)
    for name in settings:
        if name not in known:
            raise TaskError(f"{task.id}: unknown argument {name!r}: {hint(name, {*known, *also})}")
    chosen = {known[name]: _taken(task, name, value) for name, value in settings.items()}
    # in the module of the task itself, next to whose file models are looked for
    own = type(task.__name__, (task,), chosen | {"__module__": task.__module__, "__doc__": task.__doc__})
    contract.check(own)
    return own


def hint(name: str, names: Iterable[str]) -> str:
    """Which of the names a wrong one may have meant; where none is close, all of them."""
    close = get_close_matches(name, sorted(names), n=2)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(sorted(names))}"


def _taken(task: type[Task], name: str, value: Any) -> Any:
    """The value as the attribute is to have it."""
    default = getattr(task, keywords(task)[name])
    if name == "main_body" and isinstance(value, str):
        return value
    if isinstance(default, str) and isinstance(value, str | os.PathLike):
        path = Path(os.path.expanduser(value))
        return str(path.absolute() if str(value).startswith(".") else path)  # Gymnasium's reading of ./ and ../
    least = 1 if type(default) is int else _least(task).get(name, -np.inf)
    fits = {
        bool: isinstance(value, bool | np.bool_),
        int: _number(value, int | np.integer, least),
        float: _number(value, least=least),
        tuple: np.shape(value) == (2,) and all(_number(one, least=least) for one in value) and value[0] <= value[1],
        str: False,
    }
    if not fits[type(default)]:
        wanted = WANTED[type(default)] + (f", at least {least:g}" if least > -np.inf else "")
        raise TaskError(f"{task.id}: {name}: expected {wanted}, got {value!r}")
    # a float stays what it is: NumPy's would make Gymnasium, too, compute a cost of float32 actions in double precision
    return value if isinstance(default, float) else type(default)(value)


def _least(task: type[Task]) -> dict[str, float]:
    """The smallest values that settings may have."""
    return {name: least for one in reversed(task.__mro__) for name, least in vars(one).get("least", {}).items()}


def _number(value: Any, kind: Any = int | float | np.integer | np.floating, least: float = -np.inf) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and bool(value >= least)  # NaN is not
