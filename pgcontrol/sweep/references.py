"""References: results of others on the tasks of a sweep, shown next to its results but never mixed with them."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pgcontrol import options
from pgcontrol.options import InputError, option, suggest
from pgcontrol.text import count

KEYS = ("return", "seconds", "seeds", "note")
RETURN = option(0.0, "a return: any finite number", above=-math.inf, below=math.inf).metadata
SEVERAL = "several"  # an unknown number of seeds, more than one
SEEDS = option(None, "number of runs", least=1).metadata
SECONDS = option(None, "seconds of a run", above=0, below=math.inf).metadata


class Reference(NamedTuple):
    """A return that others reported.

    Attributes:
        name: name of the algorithm or implementation.
        value: the return.
        seconds: duration of a run, if known.
        note: the source.
        seeds: number of runs of which the return is a mean, or `several` if that is all that is known.
    """

    name: str
    value: float
    seconds: float | None = None
    note: str = ""
    seeds: int | str | None = None

    @property
    def several(self) -> bool:
        """Whether the return is a mean of several runs."""
        return self.seeds == SEVERAL or (isinstance(self.seeds, int) and self.seeds > 1)

    @property
    def about(self) -> str:
        """Text about the reference without its return."""
        duration = [] if self.seconds is None else [f"{self.seconds:,.0f} s per run"]
        runs = count(self.seeds, "seed") if isinstance(self.seeds, int) else self.seeds and f"{self.seeds} seeds"
        return "; ".join(filter(None, [*duration, runs, self.note])) or "reported"


def read(tree: Any, envs: set[str]) -> dict[str, list[Reference]]:
    """Task -> references.

    Args:
        tree: `{task: {name: return}}`, or `{return: ..., seconds: ..., seeds: ..., note: ...}` instead of the return.
        envs: tasks of the grid.

    Raises:
        InputError: names the entry.
    """
    shape = "such as {HalfCheetah-v5: {Tianshou PPO: 5784}}"
    for env, given in by_task(tree, "references", envs, f"names and returns, {shape}").items():
        if not isinstance(given, dict):
            raise InputError(f"references: {env} = {given!r}: must map names to returns, {shape}")
    return {env: [_reference(env, str(name), value) for name, value in given.items()] for env, given in tree.items()}


def _reference(env: str, name: str, given: Any) -> Reference:
    where = f"references: {env}: {name}"
    found: Mapping[str, Any] = given if isinstance(given, dict) else {"return": given}
    for key in found:
        if key not in KEYS:
            raise InputError(f"{where}: unknown key {key!r}{suggest(str(key), KEYS)}")
    if "return" not in found:
        raise InputError(f"{where} = {given!r}: must be a return, or {{return: 5784, seconds: 900, note: v3}}")
    value = options.read(f"{where}: return", found["return"], float, RETURN)
    seconds = options.read(f"{where}: seconds", found.get("seconds"), float | None, SECONDS)
    seeds = found.get("seeds")
    if seeds != SEVERAL:
        if isinstance(seeds, str):
            raise InputError(f"{where}: seeds = {seeds!r}: must be a number, or {SEVERAL}")
        seeds = options.read(f"{where}: seeds", seeds, int | None, SEEDS)
    return Reference(name, value, seconds, str(found.get("note", "")), seeds)


def by_task(tree: Any, key: str, envs: set[str], values: str, whole: str = "grid") -> dict[str, Any]:
    """The value of a YAML key, if it maps tasks of `whole` (grid or search) to the values that `values` describes.

    Raises:
        InputError: it does not.
    """
    if not isinstance(tree, dict):
        raise InputError(f"{key} = {tree!r}: must map tasks to {values}")
    for env in tree:
        if env not in envs:
            raise InputError(f"{key}: {env!r} is not a task of the {whole}{suggest(str(env), envs)}")
    return tree
