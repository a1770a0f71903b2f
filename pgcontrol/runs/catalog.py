"""What can be named: tasks, heads, critics, trunks, tokenizers and algorithms, ours and those of plug-ins."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pgcontrol_envs
from pgcontrol_envs.plugins import Plugin, PluginError, loaded

import pgcontrol.critics
import pgcontrol.heads
import pgcontrol.trunks
from pgcontrol import parts
from pgcontrol.critics.base import Critic
from pgcontrol.heads.base import Head
from pgcontrol.learning.algorithms import TABLE, Algorithm
from pgcontrol.options import InputError
from pgcontrol.tokenizers.files import kinds as tokenizers
from pgcontrol.trunks.base import Trunk


def tasks() -> dict[str, Any]:
    """Task classes by id."""
    try:
        return pgcontrol_envs.catalog()
    except PluginError as error:
        raise InputError(str(error)) from None


# classes by name
heads = functools.partial(parts.discover, pgcontrol.heads, Head)
critics = functools.partial(parts.discover, pgcontrol.critics, Critic)
trunks = functools.partial(parts.discover, pgcontrol.trunks, Trunk)


def algorithms() -> dict[str, Any]:
    """Algorithm rows by name."""
    found: dict[str, Any] = {row.name: row for row in TABLE}
    for plugin in loaded().values():
        for value in vars(plugin.module).values():
            if isinstance(value, Algorithm) and all(value is not row for row in TABLE):
                parts.add(found, value, value.name, plugin)
    return dict(sorted(found.items()))


# kind of part -> its table
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "task": tasks,
    "head": heads,
    "algorithm": algorithms,
    "critic": critics,
    "trunk": trunks,
    "tokenizer": tokenizers,
}


def use_plugin(source: str | Path) -> Plugin:
    """Load a plug-in and check that its parts have names of their own.

    Raises:
        InputError: it cannot be loaded, defines nothing, or a name is taken.
    """
    plugin = parts.use(source)
    if not any(brought(plugin).values()):
        raise InputError(f"plug-in {source} defines no {', no '.join(KINDS)}; a part needs a `name` (a task an `id`)")
    return plugin


def brought(plugin: Plugin) -> dict[str, dict[str, Any]]:
    """What a plug-in defines: kind -> its parts by name."""
    return {kind: {name: p for name, p in table().items() if plugin.owns(p)} for kind, table in KINDS.items()}
