"""A row of results: one line of JSON per finished run, in the current or an older format."""

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pgcontrol.machine.revisions import unclean
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure, flat
from pgcontrol.sweep.cell import Key, run_of
from pgcontrol.training.behaviour import ActionMaps, Routes

SHORTEST = 0.1  # seconds: smallest duration of a run, because speeds are steps divided by seconds


@dataclass(frozen=True)
class Spread:
    """Spread of each joint over training.

    Attributes:
        steps: [P] environment steps.
        joints: [A][P], in half-ranges.
    """

    steps: list[int]
    joints: list[list[float | None]]


PARTS = {"spread": Spread, "maps": ActionMaps, "routes": Routes}  # fields that are JSON objects


@dataclass(frozen=True, kw_only=True)
class Row:
    """A finished run of a sweep. Create it with `read` and `changed`. Older lines lack the fields with defaults.

    Attributes:
        settings: settings of the YAML and its search, by dotted name.
        origins: source of each setting that is not a default, by dotted name; see `Cell.origins`.
        config: all settings of the run, including defaults, by dotted name.
        evaluated: mean return of the final policy's mode; None if it was not scored. `return` in the file.
        error: standard error of `evaluated` over the episodes; None for a single episode.
        episodes: number of episodes that scored the policy; 0 if the run diverged.
        evaluation_seed: seed of the start states of those episodes, common to all runs; None for older rows, whose
            runs used their own start states.
        sampled: mean return of the sampled policy.
        training: the last mean return in training.
        measured: the task's measures of the final policy, by name; those of the sampled policy end in `_sampled`.
        verdict: the last verdict on the run; None without one.
        why: the line that explains the verdict.
        proved: whether branches decided the verdict on the spread.
        steps: environment steps taken.
        seconds: duration of training, at least `SHORTEST`.
        points: [P] environment steps of the curves' values.
        curves: metric -> [P] values.
        provenance: versions, seeds, threads and other facts that make the run reproducible; where it ended, the kind of
            the `machine` and its `load` averages over 1, 5 and 15 minutes.
        revision: commit of the source tree, followed by `+` if it had uncommitted changes.
        dirty: whether it had.
        lender: `SWEEP/FOLDER` of the run, if another sweep made it. `from` in the file.
        line: the JSON that is read and written, so that unknown keys are kept.
    """

    env: str
    arm: str
    seed: int
    settings: dict[str, Any]
    origins: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    evaluated: float | None
    error: float | None = None
    episodes: int | None = None
    evaluation_seed: int | None = None
    sampled: float | None
    training: float | None
    diverged: bool = False
    verdict: str | None = None
    why: str | None = None
    proved: bool = False
    steps: int
    seconds: float
    points: list[int]
    curves: dict[str, list[float | None]]
    measured: dict[str, float | None] = field(default_factory=dict)
    spread: Spread | None = None
    maps: ActionMaps | None = None
    routes: Routes | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    revision: str | None = None
    dirty: bool = False
    date: str
    lender: str | None = None
    line: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, line: dict[str, Any]) -> Self:
        """Read a line in the current or an older format. Only this method handles the differences.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not a valid row.
        """
        curves = dict(line["curves"])
        found = line | {
            "settings": flat(line["settings"]),
            "evaluated": line["return"],
            "seconds": max(line["seconds"], SHORTEST),  # older lines have 0.0 for short runs
            "points": curves.pop("steps"),
            "curves": curves,
            "lender": line.get("from"),
            "dirty": line.get("dirty", unclean(line.get("revision"))),
            "line": line,
        }
        found |= {name: _part(part, line[name]) for name, part in PARTS.items() if line.get(name)}
        row = cls(**{f.name: found[f.name] for f in dataclasses.fields(cls) if f.name in found})
        _require(row)
        for part in (row.maps, row.routes):
            if part:
                part.require()
        row.budget  # noqa: B018 - a number of steps
        if str(row.known.get("env", row.env)).partition("?")[0] != row.env.partition("?")[0]:
            raise ValueError(f"settings of {row.known['env']!r}, not of {row.env!r}")
        if any(len(curve) != len(row.points) for curve in row.curves.values()):
            raise ValueError("a curve has another number of points")
        if row.spread and any(len(joint) != len(row.spread.steps) for joint in row.spread.joints):
            raise ValueError("a spread has another number of steps")
        return row

    def changed(self, **values: Any) -> Self:
        """A copy with other values, given under their names in the file."""
        return self.read(self.line | values)

    @property
    def key(self) -> Key:
        return Key(self.env, self.arm, self.seed)

    @property
    def score(self) -> float:
        """The score of the run: the return of its final policy, or the last training return if it diverged."""
        score = self.training if self.evaluated is None else self.evaluated
        assert score is not None  # otherwise there would be no row
        return score

    @property
    def known(self) -> dict[str, Any]:
        """All settings of the run; for an older row only those of the YAML."""
        return self.settings if self.config is None else self.config

    @property
    def budget(self) -> int:
        """Environment steps that the run should take; if unknown, those that it took."""
        return int(self.known.get("total_steps", self.steps))

    def run(self) -> dict[str, Any] | None:
        """All settings of the run, see `run_from`; for an older row with the current defaults."""
        return run_from(self.known)

    def folder(self, where: Path) -> Path:
        """The run folder, under `where` or in the folder of the lending sweep; it need not exist."""
        own = where / self.key.name
        return where.parent / self.lender if self.lender and not own.exists() else own


def _require(thing: Any) -> None:
    """Check the types of a dataclass's fields; raises TypeError."""
    for name, (kind, conforms) in _fields(type(thing)).items():
        if not conforms(getattr(thing, name)):
            raise TypeError(f"{name} is no {kind}")


@functools.cache
def _fields(cls: type) -> dict[str, tuple[Any, Callable[[Any], bool]]]:
    return {name: (kind, _test_of(kind)) for name, kind in typing.get_type_hints(cls).items()}


@functools.cache
def _test_of(kind: Any) -> Callable[[Any], bool]:
    """Whether a value is of a type. Curves have thousands of numbers, so the type is taken apart only once."""
    origin, inner = typing.get_origin(kind), [*map(_test_of, typing.get_args(kind))]
    if origin is types.UnionType:
        return functools.reduce(_either, inner)
    if origin is list:
        return lambda value: isinstance(value, list) and all(map(inner[0], value))
    if origin is dict:
        return lambda value: isinstance(value, dict) and all(map(inner[1], value.values()))
    if kind is Any:
        return lambda value: True
    if kind is float:  # no bool, and no number that JSON can represent but a float cannot
        return lambda value: type(value) in (int, float) and abs(value) < sys.float_info.max
    if dataclasses.is_dataclass(kind):
        return lambda value: type(value) is kind and _require(value) is None
    return lambda value: type(value) is kind


def _either(one: Callable[[Any], bool], other: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: one(value) or other(value)


def run_from(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """All settings of a run, from the given ones; None if some are no longer known, or a prior is missing."""
    try:
        return run_of(configure(settings))
    except InputError:
        return None


def _part(part: type, kept: Mapping[str, Any]) -> Any:
    """An object of a line; missing fields are None, unknown ones stay in the line."""
    return part(**{f.name: kept.get(f.name) for f in dataclasses.fields(part)})
