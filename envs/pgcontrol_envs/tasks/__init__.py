"""The tasks, one file each. A file put here is in the catalogue: there is no list to add it to."""

import importlib
import pkgutil

from pgcontrol_envs.task import Task


def catalog() -> dict[str, type[Task]]:
    """The task classes of all files of this package, by id."""
    found: dict[str, type[Task]] = {}
    for file in pkgutil.iter_modules(__path__, f"{__name__}."):
        for member in vars(importlib.import_module(file.name)).values():
            if isinstance(member, type) and issubclass(member, Task) and "id" in vars(member):
                found[member.id] = member
    return dict(sorted(found.items()))
