"""A row of results: what a run leaves in the file of its sweep, one line of JSON, whatever its age."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcontrol.runs.config import configure, flat
from pgcontrol.sweep.sweep import Key, run_of
from pgcontrol.training.behaviour import ActionMaps, Routes

SHORTEST = 0.1
"""Seconds of a run, as finely as they are kept: speeds are reckoned by them."""


@dataclass(frozen=True)
class Spread:
    """Each joint's spread over training."""

    steps: list[int]
    """[P]."""
    joints: list[list[float | None]]
    """[A][P], in half-ranges."""


PARTS = {"spread": Spread, "maps": ActionMaps, "routes": Routes}
"""Fields that are objects in a line."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A finished run of a sweep. Made by `read`, changed by `changed`. What has a default is not in older lines."""

    env: str
    arm: str
    seed: int
    settings: dict[str, Any]
    """Dotted: all that the YAML said of the run."""
    config: dict[str, Any] | None = None
    """Dotted: every setting of the run, said or default."""
    evaluated: float | None
    """Mean return of the final policy's mode; None where there was no evaluation. `return` in the file."""
    sampled: float | None
    """The same of the sampled policy."""
    training: float | None
    """The last mean return in training."""
    diverged: bool = False
    verdict: str | None = None
    """The words of whoever judged the run last; None: nobody has."""
    why: str | None = None
    steps: int
    """Environment steps that were taken."""
    seconds: float
    """Of training; at least `SHORTEST`."""
    points: list[int]
    """[P]: the steps that the curves are of."""
    curves: dict[str, list[float | None]]
    """Metric -> [P] values."""
    spread: Spread | None = None
    maps: ActionMaps | None = None
    routes: Routes | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions, seeds, threads, and what else makes the run reproducible."""
    revision: str | None = None
    """Of the source tree."""
    date: str
    lender: str | None = None
    """`SWEEP/FOLDER` of the run, where another sweep has made it. `from` in the file."""
    line: dict[str, Any] = field(repr=False)
    """The JSON that it was read from, which is what is written again: nothing that is not known here gets lost."""

    @classmethod
    def read(cls, line: dict[str, Any]) -> Row:
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
        return cls(**{f.name: found[f.name] for f in dataclasses.fields(cls) if f.name in found})

    def changed(self, **values: Any) -> Row:
        """The same with other values, under their names in the file."""
        return Row.read(self.line | values)

    @property
    def key(self) -> Key:
        """Its place in the sweep."""
        return Key(self.env, self.arm, self.seed)

    @property
    def score(self) -> float:
        """What the run is judged by: the final evaluation's return, or the last training one where there was none."""
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

    def run(self) -> dict[str, Any]:
        """All settings of the run; where an older row does not say them, as today's defaults have them.

        Raises:
            InputError: settings that are no longer known, or a prior that is gone.
        """
        return run_of(configure(self.known))

    def folder(self, where: Path) -> Path:
        """The run folder: under `where`, or under the sweep's that it was borrowed from; need not exist."""
        own = where / self.key.name
        return where.parent / self.lender if self.lender and not own.exists() else own


def _part(part: type, kept: Mapping[str, Any]) -> Any:
    """An object of a line; what it does not say is None, and what is not known here stays in the line."""
    return part(**{f.name: kept.get(f.name) for f in dataclasses.fields(part)})
