"""Parts by name. Every class of a kind in our modules or in a plug-in's is found; there is no list."""

import functools
import importlib
import inspect
import os
import pkgutil
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pgcontrol_envs import plugins
from pgcontrol_envs.names import GymName
from pgcontrol_envs.plugins import Plugin, PluginError, passed_on

from pgcontrol.options import InputError

# environment variable: open runs although their plug-ins have changed; child processes inherit it
ACCEPT = "PGCONTROL_ACCEPT_CHANGED"


def use(source: str | Path) -> Plugin:
    """Load a plug-in; see `pgcontrol_envs.plugins.use`.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        return plugins.use(source)
    except PluginError as error:
        raise InputError(str(error)) from error.__cause__


def discover(where: ModuleType, base: Any) -> dict[str, Any]:
    """Every named class of `base` in the modules of a package and in the plug-ins, by name.

    Raises:
        InputError: a plug-in's class has a name that is taken.
        TypeError: two built-in classes have the same name.
    """
    found = dict(_built_in(where, base))
    for plugin in plugins.loaded().values():
        for cls in plugin.members(base):
            if "name" in vars(cls):
                add(found, cls, cls.name, plugin)
    return dict(sorted(found.items()))


def add(found: dict[str, Any], part: Any, name: str, plugin: Plugin) -> None:
    """Add a plug-in's part to a table; raises InputError if the name is taken."""
    if found.setdefault(name, part) is not part:
        raise InputError(f"plug-in {plugin.source}: the name {name!r} is taken by {found[name]}; choose another")


@functools.cache
def _built_in(where: ModuleType, base: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(where.__path__, f"{where.__name__}."):
        for cls in vars(importlib.import_module(module.name)).values():
            if not inspect.isclass(cls) or cls.__module__ != module.name or not issubclass(cls, base):
                continue
            name = vars(cls).get("name")
            if name and found.setdefault(name, cls) is not cls:
                raise TypeError(f"{cls} and {found[name]} are both called {name!r}")
    return found


def plugins_behind(parts: Iterable[Any]) -> dict[str, dict[str, str | None]]:
    """The plug-ins that define (or are) these parts, as JSON values: name -> source, version and SHA-256."""
    parts = list(parts)
    return {
        plugin.name: {"source": plugin.source, "version": plugin.version, "sha256": plugin.digest}
        for plugin in plugins.loaded().values()
        if any(plugin.owns(part) or part is plugin.module for part in parts)
    }


def require_named(env: str) -> None:
    """Check that the module of a recorded gym:MODULE:ID is in use already; a record never causes an import.

    Raises:
        InputError: it is not; the message says what to pass.
    """
    module = GymName.parse(env).module if env.startswith("gym:") else None
    if module and not plugins.is_named(module):
        raise InputError(f"{env} needs the module {module!r}: {_passing(module)}")


def _passing(source: str) -> str:
    """How to load a plug-in, for messages."""
    return f"pass --plugin {source}, or in Python call pgcontrol.use_plugin({source!r}) first"


def command(*words: object, plugins: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """A command as a user would type it, including the plug-ins that it needs; the default is those in use now."""
    sources = passed_on() if plugins is None else [noted["source"] for noted in plugins.values()]
    named = [word for source in sources for word in ("--plugin", source)]
    changed = ["--accept-changed"] if plugins is None and named and os.environ.get(ACCEPT) else []
    return shlex.join(["pgcontrol", *map(str, words), *named, *changed])


def require_plugins(recorded: Mapping[str, Mapping[str, Any]], where: str | Path) -> None:
    """Check that the plug-ins with which something was made are loaded and unchanged.

    Args:
        recorded: the result of `plugins_behind`.
        where: what was made with them, for the message.

    Raises:
        InputError: one is not loaded, or has changed; the message says what to pass.
    """
    for name in recorded.keys() & sys.modules.keys():  # already imported by the program
        if plugins.named(name) is None and getattr(sys.modules[name], "__file__", None):
            plugins.adopt(sys.modules[name])
    here = {plugin.name: plugin for plugin in plugins.loaded().values()}
    for name, noted in recorded.items():
        source = noted["source"]
        if name not in here:
            why = f" ({plugins.failed()[source]})" if source in plugins.failed() else ""
            raise InputError(f"{where} needs the plug-in {name!r}: {_passing(source)}{why}")
        if here[name].digest != noted["sha256"] and not os.environ.get(ACCEPT):
            now = here[name].source
            raise InputError(
                f"{where} was made with another version of the plug-in {now}; to open it with the current version,"
                " pass --accept-changed"
            )
