"""What others came to on the tasks of a sweep: its YAML's `references`, shown beside the results, never mixed in."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from pgcontrol.options import InputError, suggest

KEYS = ("return", "seconds", "note")


class Reference(NamedTuple):
    """A return that somebody else came to.

    Attributes:
        name: of the algorithm or implementation.
        value: the return.
        seconds: duration of a run, where that is known.
        note: where it comes from.
    """

    name: str
    value: float
    seconds: float | None = None
    note: str = ""

    @property
    def about(self) -> str:
        """What there is to say of it beside the return."""
        took = [] if self.seconds is None else [f"{self.seconds:,.0f} s a run"]
        return "; ".join([*took, *filter(None, [self.note])]) or "reported"


def read(tree: Any, envs: set[str]) -> dict[str, list[Reference]]:
    """Task -> what others came to.

    Args:
        tree: `{task: {whose: return}}`, or `{return: ..., seconds: ..., note: ...}` in place of the return alone.
        envs: tasks of the grid.

    Raises:
        InputError: names the entry.
    """
    shape = "such as {HalfCheetah-v5: {Tianshou PPO: 5784}}"
    for env, given in by_task(tree, "references", envs, f"names and returns, {shape}").items():
        if not isinstance(given, dict):
            raise InputError(f"references: {env} = {given!r}: must map names to returns, {shape}")
    return {env: [_reference(env, str(name), told) for name, told in given.items()] for env, given in tree.items()}


def _reference(env: str, name: str, told: Any) -> Reference:
    where = f"references: {env}: {name}"
    found: Mapping[str, Any] = told if isinstance(told, dict) else {"return": told}
    for key in found:
        if key not in KEYS:
            raise InputError(f"{where}: unknown key {key!r}{suggest(str(key), KEYS)}")
    if "return" not in found:
        raise InputError(f"{where} = {told!r}: must be a return, or {{return: 5784, seconds: 900, note: v3}}")
    seconds = number(f"{where}: seconds", found["seconds"]) if "seconds" in found else None
    if seconds is not None and seconds <= 0:
        raise InputError(f"{where}: seconds = {found['seconds']!r}: must be above 0")
    return Reference(name, number(f"{where}: return", found["return"]), seconds, str(found.get("note", "")))


def by_task(tree: Any, key: str, envs: set[str], values: str) -> dict[str, Any]:
    """What YAML gave under a key, if it maps tasks of the grid to something, which `values` describes.

    Raises:
        InputError: it does not.
    """
    if not isinstance(tree, dict):
        raise InputError(f"{key} = {tree!r}: must map tasks to {values}")
    for env in tree:
        if env not in envs:
            raise InputError(f"{key}: {env!r} is no task of the grid{suggest(str(env), envs)}")
    return tree


def number(where: str, value: Any) -> float:
    """What YAML gave, if it is a finite number.

    Raises:
        InputError: it is none; names where.
    """
    try:
        found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # YAML's integers have no end
        found = math.inf
    if not math.isfinite(found):
        raise InputError(f"{where} = {reprlib.repr(value)}: must be a number")
    return found
