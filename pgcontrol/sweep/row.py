"""A row of results: what a run leaves in the file of its sweep, one line of JSON, whatever its age."""

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pgcontrol.options import InputError
from pgcontrol.runs.config import configure, flat
from pgcontrol.sweep.sweep import Key, run_of
from pgcontrol.training.behaviour import ActionMaps, Routes

SHORTEST = 0.1  # seconds: least duration of a run, since speeds are steps over seconds


@dataclass(frozen=True)
class Spread:
    """Each joint's spread over training.

    Attributes:
        steps: [P] environment steps.
        joints: [A][P], in half-ranges.
    """

    steps: list[int]
    joints: list[list[float | None]]


PARTS = {"spread": Spread, "maps": ActionMaps, "routes": Routes}  # fields that are JSON objects in a line


@dataclass(frozen=True, kw_only=True)
class Row:
    """A finished run of a sweep. Made by `read`, changed by `changed`. What has a default is not in older lines.

    Attributes:
        settings: all that the YAML and its search said of the run, by dotted name.
        origins: who said each setting that was no default, by dotted name; see `Cell.origins`.
        config: every setting of the run, said or default, by dotted name.
        evaluated: mean return of the final policy's mode; None where it was not scored. `return` in the file.
        error: its standard error over the episodes; None of a single one.
        episodes: how many scored the policy; 0 of a run that diverged.
        evaluation_seed: of the start states of those episodes, common to all runs; None: they were the run's own, of
            rows from before scores came from common ones.
        sampled: the same of the sampled policy.
        training: the last mean return in training.
        measured: what the task measured of the final policy, by name; of samples with `_sampled`.
        verdict: words of the last verdict on the run; None: nobody has judged it.
        why: the line that explains the verdict.
        steps: environment steps that were taken.
        seconds: duration of training, at least `SHORTEST`.
        points: [P] environment steps of the curves' values.
        curves: metric -> [P] values.
        provenance: versions, seeds, threads, and what else makes the run reproducible.
        revision: commit of the source tree.
        lender: `SWEEP/FOLDER` of the run, where another sweep has made it. `from` in the file.
        line: the JSON that it was read from, and is written from, so that keys which are unknown here are kept.
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
    date: str
    lender: str | None = None
    line: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, line: dict[str, Any]) -> Self:
        """From a line of any age: the one place that knows how lines have changed.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is no row.
        """
        curves = dict(line["curves"])
        found = line | {
            "settings": flat(line["settings"]),
            "evaluated": line["return"],
            "seconds": max(line["seconds"], SHORTEST),  # older lines have 0.0 for less than half of that
            "points": curves.pop("steps"),
            "curves": curves,
            "lender": line.get("from"),
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
            raise ValueError("curves of other points")
        if row.spread and any(len(joint) != len(row.spread.steps) for joint in row.spread.joints):
            raise ValueError("spreads of other steps")
        return row

    def changed(self, **values: Any) -> Self:
        """The same with other values, under their names in the file."""
        return self.read(self.line | values)

    @property
    def key(self) -> Key:
        """Its place in the sweep."""
        return Key(self.env, self.arm, self.seed)

    @property
    def score(self) -> float:
        """What the run is judged by: the return of its final policy, or the last one in training where it diverged."""
        score = self.training if self.evaluated is None else self.evaluated
        assert score is not None  # else there would be no row
        return score

    @property
    def known(self) -> dict[str, Any]:
        """Every setting of the run; of an older row those that the YAML said."""
        return self.settings if self.config is None else self.config

    @property
    def budget(self) -> int:
        """Steps that the run was to take; of a row that does not tell, those that it took."""
        return int(self.known.get("total_steps", self.steps))

    def run(self) -> dict[str, Any] | None:
        """All settings of the run, as `run_from` has them; an older row's with today's defaults."""
        return run_from(self.known)

    def folder(self, where: Path) -> Path:
        """The run folder: under `where`, or under the sweep's that it was borrowed from; need not exist."""
        own = where / self.key.name
        return where.parent / self.lender if self.lender and not own.exists() else own


def _require(thing: Any) -> None:
    """The fields of a dataclass are of their types; else raises TypeError."""
    for name, kind in typing.get_type_hints(type(thing)).items():
        if not _conforms(getattr(thing, name), kind):
            raise TypeError(f"{name} is no {kind}")


def _conforms(value: Any, kind: Any) -> bool:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return any(_conforms(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_conforms(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_conforms(one, inner[1]) for one in value.values())
    if kind is float:  # no bool, and nothing that JSON can say and a float cannot
        return type(value) in (int, float) and abs(value) < sys.float_info.max
    if kind is not Any and type(value) is kind and dataclasses.is_dataclass(value):
        _require(value)
    return kind is Any or type(value) is kind


def run_from(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """All settings of a run, from those that are said; None where some are no longer known, or a prior is gone."""
    try:
        return run_of(configure(settings))
    except InputError:
        return None


def _part(part: type, kept: Mapping[str, Any]) -> Any:
    """An object of a line; what it does not say is None, and what is not known here stays in the line."""
    return part(**{f.name: kept.get(f.name) for f in dataclasses.fields(part)})
