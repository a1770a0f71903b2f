"""The tasks, one file each, and those of the suite. A file put here is in the catalogue: there is no list to add to."""

import importlib
import pkgutil

from pgcontrol_envs import plugins, suite
from pgcontrol_envs.task import Task


def built_in() -> dict[str, type[Task]]:
    """The task classes of all files of this package and of the suite, by id."""
    found: dict[str, type[Task]] = {}
    for file in (
        *pkgutil.iter_modules(__path__, f"{__name__}."),
        *pkgutil.iter_modules(suite.__path__, f"{suite.__name__}."),
    ):
        for member in vars(importlib.import_module(file.name)).values():
            if isinstance(member, type) and issubclass(member, Task) and "id" in vars(member):
                found[member.id] = member
    return dict(sorted(found.items()))


def catalog() -> dict[str, type[Task]]:
    """The task classes of this package and of all plug-ins, by id.

    Raises:
        PluginError: a plug-in's task has an id that is taken.
    """
    found = dict(built_in())
    for plugin in plugins.loaded().values():
        for task in plugin.members(Task):
            if not hasattr(task, "id"):
                continue  # a base of the user's tasks
            if found.setdefault(task.id, task) is not task:
                other = found[task.id]
                raise plugins.PluginError(f"plug-in {plugin.source}: {other.__module__} has a task {task.id!r} already")
    return dict(sorted(found.items()))
