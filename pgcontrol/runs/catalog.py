"""Tables of tasks, heads, critics, trunks, tokenizers, algorithms and loggers, including those of plug-ins."""

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gymnasium
import pgcontrol_envs
from pgcontrol_envs.gym_copies import require_known
from pgcontrol_envs.names import GymName, split
from pgcontrol_envs.plugins import Plugin, PluginError, adopt, loaded, named
from pgcontrol_envs.values import explained, keywords

import pgcontrol.critics
import pgcontrol.heads
import pgcontrol.loggers
import pgcontrol.trunks
from pgcontrol import parts
from pgcontrol.critics.base import Critic
from pgcontrol.heads.base import Head
from pgcontrol.learning.advantages import Estimator
from pgcontrol.learning.algorithms import TABLE, Algorithm
from pgcontrol.learning.rule import Rule
from pgcontrol.loggers.base import Logger
from pgcontrol.options import InputError, pick
from pgcontrol.text import typed
from pgcontrol.tokenizers.files import kinds as tokenizers
from pgcontrol.trunks.base import Trunk


def tasks() -> dict[str, Any]:
    """Task classes by id."""
    try:
        return pgcontrol_envs.catalog()
    except PluginError as error:
        raise InputError(str(error)) from None


def name_env(env: Any, more: str = "") -> None:
    """Check the name of an environment. In gym:MODULE:ID, the module is loaded as a plug-in.

    Raises:
        InputError: the task or the module does not exist. The message ends with `more`.
    """
    try:
        if str(env).startswith("gym:"):
            require_known(env)
        else:
            pick("env", split(str(env))[0], tasks(), more)
            pgcontrol_envs.find(str(env))
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from None


def is_env(name: str) -> bool:
    """Whether a name is that of a task, possibly with settings, or of a `gym:` environment."""
    return name.startswith("gym:") or name.partition("?")[0] in tasks()


def settings_of(env: str) -> dict[str, tuple[Any, str]]:
    """Value and description of each setting `env.NAME` of a task; empty if the task does not exist."""
    try:
        task = pgcontrol_envs.find(env)
    except ValueError:
        return {}
    meanings, own = explained(task), keywords(task)
    values = {name: getattr(task, attribute) for name, attribute in own.items()}
    # dicts as text: a dataclass of options cannot have them as defaults
    values |= {name: typed(value) for name, value in values.items() if isinstance(value, dict)}
    return {name: (value, meanings.get(own[name], "")) for name, value in values.items()}


def origin(env: str) -> Any:
    """The class of a task, or the module that registers a Gymnasium environment; None if it is unknown."""
    if not env.startswith("gym:"):
        return tasks().get(split(env)[0])
    name = GymName.parse(env)
    if name.module:
        return getattr(named(name.module), "module", None)
    return next((plugin.module for plugin in loaded().values() if name.id in registered(plugin)), None)


def registered(plugin: Plugin) -> set[str]:
    """Ids of the environments that a plug-in registers with Gymnasium."""
    homes = {spec.id: _home(spec.entry_point) for spec in gymnasium.registry.values()}
    ours = (plugin.name, plugin.module.__name__)
    return {env_id for env_id, home in homes.items() if any(f"{home}.".startswith(f"{one}.") for one in ours)}


def _home(entry_point: Any) -> str:
    return entry_point.partition(":")[0] if isinstance(entry_point, str) else getattr(entry_point, "__module__", "")


# classes by name
heads = functools.partial(parts.discover, pgcontrol.heads, Head)
critics = functools.partial(parts.discover, pgcontrol.critics, Critic)
trunks = functools.partial(parts.discover, pgcontrol.trunks, Trunk)
loggers = functools.partial(parts.discover, pgcontrol.loggers, Logger)


def algorithms() -> dict[str, Any]:
    """Algorithm rows by name."""
    found: dict[str, Any] = {row.name: row for row in TABLE}
    for plugin in loaded().values():
        for value in vars(plugin.module).values():
            if isinstance(value, Algorithm) and all(value is not row for row in TABLE):
                parts.add(found, value, value.name, plugin)
    return dict(sorted(found.items()))


# tables by kind of part
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "task": tasks,
    "head": heads,
    "algorithm": algorithms,
    "critic": critics,
    "trunk": trunks,
    "tokenizer": tokenizers,
    "logger": loggers,
}

# kinds that are chosen in an algorithm's row, not by a setting: the base class, and the method that concrete classes
# override
OF_A_ROW: dict[str, tuple[type, str]] = {"estimator": (Estimator, "__call__"), "rule": (Rule, "update")}


def require_loggers(names: Iterable[str]) -> None:
    """Raises InputError if one of these loggers cannot work on this machine; the message says how to fix it."""
    for name in names:
        loggers()[name].require()


def name_of(part: Any) -> Any:
    """The name of a class or of an algorithm's row, which is registered as well. Other values are returned unchanged.

    Raises:
        InputError: it has no name, or other processes cannot import its module.
    """
    if not isinstance(part, type | Algorithm):
        return part
    name = getattr(part, "id", None) or getattr(part, "name", None)
    if not isinstance(name, str):
        raise InputError(f"{part!r} has no name: give the class a `name` (for a task: an `id`)")
    if not any(part is known for table in KINDS.values() for known in table().values()):
        homes = [sys.modules[part.__module__]] if isinstance(part, type) else list(sys.modules.values())
        home = next((m for m in homes if m and any(value is part for value in vars(m).values())), homes[0])
        try:
            adopt(home)
        except PluginError as error:
            raise InputError(f"{name!r}: {error}") from None
    return name


def use_plugin(source: str | Path) -> Plugin:
    """Load a plug-in and check the names of its parts.

    Raises:
        InputError: it cannot be loaded, it defines nothing, or a name is taken.
    """
    plugin = parts.use(source)
    if not any(brought(plugin).values()) and not registered(plugin):
        nothing = f"defines no {', no '.join([*KINDS, *OF_A_ROW])}, and registers no Gymnasium environment"
        raise InputError(
            f"plug-in {source} {nothing}; parts need a `name` (tasks: an `id`), except estimators and rules"
        )
    return plugin


def brought(plugin: Plugin) -> dict[str, dict[str, Any]]:
    """The parts that a plug-in defines, by kind and name; estimators and rules by the name of their class."""
    found = {kind: {name: p for name, p in table().items() if plugin.owns(p)} for kind, table in KINDS.items()}
    for kind, (base, method) in OF_A_ROW.items():
        whole = (cls for cls in plugin.members(base) if getattr(cls, method) is not getattr(base, method))
        found[kind] = {cls.__name__: cls for cls in whole}
    return found
