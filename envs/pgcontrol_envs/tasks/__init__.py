"""The tasks, one file each, and those of the suite. A file in this folder is in the catalogue automatically."""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from pgcontrol_envs import names, plugins, suite
from pgcontrol_envs.settings import configured
from pgcontrol_envs.task import Task
from pgcontrol_envs.values import hint
from pgcontrol_envs.vector import UnknownEnv


@functools.cache
def built_in() -> Mapping[str, type[Task]]:
    """The task classes of all files of this package and of the suite, by id."""
    found: dict[str, type[Task]] = {}
    for file in (
        *pkgutil.iter_modules(__path__, f"{__name__}."),
        *pkgutil.iter_modules(suite.__path__, f"{suite.__name__}."),
    ):
        for member in vars(importlib.import_module(file.name)).values():
            if isinstance(member, type) and issubclass(member, Task) and "id" in vars(member):
                found[member.id] = member
    return MappingProxyType(dict(sorted(found.items())))


def catalog() -> dict[str, type[Task]]:
    """The task classes of this package and of all plug-ins, by id.

    Raises:
        PluginError: a plug-in's task has an id that is taken.
    """
    found = dict(built_in())
    for plugin in plugins.loaded().values():
        for task in plugin.members(Task):
            if "id" not in vars(task):
                continue  # a base class of the user's tasks
            if found.setdefault(task.id, task) is not task:
                other = found[task.id]
                raise plugins.PluginError(f"plug-in {plugin.source}: {other.__module__} already has a task {task.id!r}")
    return dict(sorted(found.items()))


def find(env_id: str) -> type[Task]:
    """The class of a task, given its id and optional settings: "Go1-v0", "Go1-v0?kp=25&push=0".

    Raises:
        UnknownEnv: there is no such task.
        TaskError: the task has no such setting, or the value is invalid.
    """
    name, _ = names.split(env_id)
    if name not in (tasks := catalog()):
        raise UnknownEnv(f"unknown env {env_id!r}: {hint(name, {*tasks, 'gym:ID'})}")
    return _configured(tasks[name], env_id)


@functools.lru_cache(maxsize=256)  # a new class is checked, which takes a fifth of a second for a robot
def _configured(task: type[Task], env_id: str) -> type[Task]:
    if args := names.split(env_id)[1]:
        task = configured(task, args)
        task.id = env_id  # this class was created for these settings
    return task
