"""Discovery: a part is found because its class exists in a module, not because a list names it."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any


def discover(where: ModuleType, base: Any) -> dict[str, Any]:
    """Every named class of `base` defined in a module, or in the modules of a package, by name.

    Raises:
        TypeError: two classes share a name.
    """
    modules = [where]
    if hasattr(where, "__path__"):
        modules = [importlib.import_module(f"{where.__name__}.{m.name}") for m in pkgutil.iter_modules(where.__path__)]
    found: dict[str, Any] = {}
    for module in modules:
        classes: list[Any] = [cls for _, cls in inspect.getmembers(module, inspect.isclass)]
        for cls in classes:
            if cls.__module__ != module.__name__ or not issubclass(cls, base) or "name" not in vars(cls):
                continue
            if cls.name in found:
                raise TypeError(f"{cls} and {found[cls.name]} are both called {cls.name!r}")
            found[cls.name] = cls
    return dict(sorted(found.items()))
