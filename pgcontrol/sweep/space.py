"""The space of a search: settings with a range or a list of values, and the arms to which they apply."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgcontrol.options import InputError, pick, suggest
from pgcontrol.runs.config import configure, flat, nested
from pgcontrol.text import typed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Settings = dict[str, Any]  # dotted
KEYS = ("low", "high", "log", "step", "choices", "arms")
SHAPE = "{low: 1.0e-4, high: 1.0e-2, log: true} or a list of values"
DIGITS = 4  # significant digits of a value from a range, so that it is easy to read and type


@dataclass(frozen=True)
class Axis:
    """A setting that is searched, in a range or among choices.

    Attributes:
        name: dotted name of the setting.
        low: smallest value of the range; unused with choices.
        high: largest value of the range.
        log: whether the range is logarithmic.
        step: step between the values of the range; None: any value.
        choices: the listed values.
        arms: names of the arms for which it is searched; None: all that have it.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    arms: tuple[str, ...] | None = None

    @property
    def words(self) -> bool:
        """Whether its values are names, such as heads, which may change the set of other settings."""
        return any(isinstance(choice, str) for choice in self.choices)

    @property
    def ends(self) -> list[Any]:
        """The values to check: if these are allowed, all are."""
        return list(self.choices) or [self.low, self.high]

    def values(self) -> list[Any]:
        """All values, in order.

        Raises:
            InputError: there are infinitely many.
        """
        if self.choices:
            return list(self.choices)
        if self.step is None:
            raise InputError(f"search: space: {self.name} = {self}: a grid needs a list of values, or a step")
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [_rounded(self.low + k * self.step, whole=self._whole()) for k in range(count)]

    def _whole(self) -> bool:
        return all(isinstance(number, int) for number in (self.low, self.high, self.step))

    def __str__(self) -> str:
        if self.choices:
            return f"[{', '.join(map(typed, self.choices))}]"
        more = (", log" if self.log else "") + (f", step {self.step:g}" if self.step else "")
        return f"{self.low:g} to {self.high:g}{more}"

    def distribution(self, settings: Settings) -> BaseDistribution:
        """The Optuna distribution; the other settings determine whether the values are integers.

        Choices are encoded as JSON, because Optuna does not accept lists as choices.
        """
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution([json.dumps(choice) for choice in self.choices])
        if self._kind(settings) is int:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(float(self.low), float(self.high), self.log, self.step)

    def value(self, kept: Any) -> Any:
        """The setting's value for a value of `distribution`."""
        if self.choices:
            return json.loads(kept)
        return kept if isinstance(kept, int) else min(max(_rounded(kept), self.low), self.high)

    def kept(self, value: Any) -> Any:
        """The reverse of `value`."""
        return json.dumps(value) if self.choices else value

    def has(self, value: Any) -> bool:
        """Whether a value is among the choices or in the range; with a step, it must be one of its values."""
        if self.choices or self.step is not None:
            return value in self.values()
        return type(value) in (int, float) and self.low <= value <= self.high

    def share(self, value: float) -> float:
        """The position of a value in the range, 0 to 1."""
        low, high, at = (
            (math.log(x) for x in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return (at - low) / (high - low)

    def check(self, settings: Settings) -> None:
        """Check every value together with settings that have this one.

        Raises:
            InputError: a value is not allowed; the message names it.
        """
        for value in () if self.words else self.ends:  # the settings contain each name in turn
            configure(settings | {self.name: value}, together=False)  # other settings may be searched, too
        if not self.choices and self._kind(settings) not in (int, float):
            raise InputError(f"{self.name} = {self}: not a number, so it needs a list of values")

    def _kind(self, settings: Settings) -> type:
        return known(settings | {self.name: self.low})[self.name]


def _rounded(number: float, whole: bool = False) -> Any:
    return round(number) if whole else float(f"{number:.{DIGITS}g}")


def known(settings: Settings) -> Mapping[str, type]:
    """Dotted name -> type of the value, for every setting of a run with these settings."""
    return _known(json.dumps(settings, default=str))


@functools.lru_cache(maxsize=1024)  # a grid of thousands of points repeats the same calls
def _known(settings: str) -> dict[str, type]:
    return {key: type(value) for key, value in flat(nested(configure(json.loads(settings), together=False))).items()}


def leaves(
    axes: Sequence[Axis], settings: Settings, values: Callable[[Axis, Settings], Sequence[Any]]
) -> Iterator[Settings]:
    """Every combination of values for the axes that apply; the value of a name may add or remove later axes.

    Args:
        axes: the axes, names before numbers.
        settings: settings of the arm.
        values: returns the values of an axis, given the settings and the names chosen so far.

    Raises:
        InputError: a combination that no run may have.
    """
    if not axes:
        yield {}
        return
    axis, rest = axes[0], axes[1:]
    if axis.name not in known(settings):
        yield from leaves(rest, settings, values)
        return
    for value in values(axis, settings):
        for more in leaves(rest, settings | ({axis.name: value} if axis.words else {}), values):
            yield {axis.name: value} | more


def corners(axes: Sequence[Axis], settings: Settings) -> Iterator[tuple[Axis, Settings]]:
    """Each axis that applies, with each combination of names with which it applies."""
    for leaf in leaves(axes, settings, lambda axis, _: axis.choices if axis.words else axis.ends[:1]):
        for axis in axes:
            if axis.name in leaf:
                yield axis, settings | leaf


def read(tree: Any, arms: Mapping[str, Any]) -> list[Axis]:
    """Parse the axes of a space, names before numbers.

    Args:
        tree: the block `space` of the YAML.
        arms: arms of the sweep, by name.

    Raises:
        InputError: names the setting.
    """
    if not isinstance(tree, dict) or not tree:
        raise InputError(f"search: space = {tree!r}: must map settings to ranges, such as {SHAPE}")
    axes = [_axis(str(name).replace("-", "_"), given, arms) for name, given in tree.items()]
    return sorted(axes, key=lambda axis: not axis.words)


def _axis(name: str, given: Any, arms: Mapping[str, Any]) -> Axis:
    where = f"search: space: {name}"
    found = {"choices": given} if isinstance(given, list) else given
    if not isinstance(found, dict):
        raise InputError(f"{where} = {given!r}: must be {SHAPE}")
    for key in found:
        if key not in KEYS:
            raise InputError(f"{where}: unknown key {key!r}{suggest(str(key), KEYS)}")
    names = found.get("arms")
    for arm in names if isinstance(names, list) else [] if names is None else [names]:
        pick("arm", arm, arms, f" (search: space: {name}: arms)")
    chosen = None if names is None else tuple(names if isinstance(names, list) else [names])
    if "choices" in found:
        choices = found["choices"]
        if not isinstance(choices, list) or not choices or set(found) - {"choices", "arms"}:
            raise InputError(f"{where} = {given!r}: must be {SHAPE}")
        if len({json.dumps(choice, default=str) for choice in choices}) < len(choices):
            raise InputError(f"{where} = {given!r}: a value occurs twice")
        return Axis(name, choices=tuple(choices), arms=chosen)
    return _range(where, name, found, chosen)


def _range(where: str, name: str, found: dict[str, Any], arms: tuple[str, ...] | None) -> Axis:
    for end in ("low", "high", *(["step"] if "step" in found else [])):
        number: Any = found.get(end)
        if type(number) not in (int, float) or not math.isfinite(number):
            raise InputError(f"{where}: {end} = {number!r}: must be a number; a range is {SHAPE}")
    low, high, log, step = found["low"], found["high"], found.get("log", False), found.get("step")
    if type(log) is not bool:
        raise InputError(f"{where}: log = {log!r}: must be true or false")
    if not low < high:
        raise InputError(f"{where}: low = {low} and high = {high}: low must be less than high")
    if log and low <= 0:
        raise InputError(f"{where}: low = {low}: must be greater than 0 in a logarithmic range")
    if step is not None and (log or not 0 < step <= high - low):
        what = "a logarithmic range has no step" if log else f"must be greater than 0 and at most {high - low:g}"
        raise InputError(f"{where}: step = {step}: {what}")
    return Axis(name, low, high, log, step, arms=arms)
