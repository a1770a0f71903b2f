"""A task's settings: class attributes that Gymnasium's keyword arguments or the arguments of a name can change.

A subclass that is created for this overrides them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pgcontrol_envs import contract
from pgcontrol_envs.task import Task, TaskError
from pgcontrol_envs.values import hint, keywords, taken


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
    chosen = {known[name]: taken(task, name, value) for name, value in settings.items()}
    # keep the module: model files are searched next to the task's own file
    own = type(task.__name__, (task,), chosen | {"__module__": task.__module__, "__doc__": task.__doc__})
    contract.check(own)
    return own
