"""A sweep: the cells that one YAML file asks for, checked before anything runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pgcontrol.arguments import typed
from pgcontrol.options import InputError, suggest
from pgcontrol.runs.config import configure, flat, read_mapping

KEYS = ("question", "budget", "settings", "arms", "baseline", "grid", "plots", "thresholds")
AXES = ("env", "arm", "seed")


class Cell(NamedTuple):
    """One run of a sweep."""

    env: str
    arm: str
    """Name of the settings that are compared."""
    seed: int
    settings: dict[str, Any]
    """Dotted: all that the YAML says of this run."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from the sweep's other cells."""
        return self.env, self.arm, self.seed

    @property
    def name(self) -> str:
        """For folders: letters, digits, dots and dashes."""
        return re.sub(r"[^\w.=-]+", "-", f"{self.env}-{self.arm}-s{self.seed}")

    def words(self, folder: Path) -> list[str]:
        """The command that runs it into a folder, behind `pgcontrol`: one thread, unless the YAML says otherwise."""
        settings = {"threads": 1} | self.settings | {"run_dir": str(folder)}
        settings.pop("env")
        flags = (word for key, value in settings.items() for word in (f"--{key}", typed(value)))
        return ["train", self.env, *flags]


@dataclass(frozen=True)
class Sweep:
    """What a YAML file asks.

        question: Does a binned head learn HalfCheetah as fast as a Gaussian?
        budget: 1_000_000                   # environment steps a run
        settings: {video: false}            # of every run
        arms:                               # what is compared: name -> settings
          gaussian: {head: gaussian}
          binned-41: {head: binned, head.bins: 41}
        baseline: gaussian                  # the arm that others are compared with
        grid:                               # one mapping, or a list of them
          - {env: HalfCheetah-v5, seed: 5}  # seeds 0 to 4, all arms
          - {env: [Hopper-v5, Walker2d-v5], arm: gaussian, seed: [0, 1, 2]}

    `plots: [train/kl]` asks for more curves, `thresholds: {HalfCheetah-v5: 4000}` for the time to another return than
    the report's own choice. Any other key of a grid is a setting to vary: `head.bins: [3, 11]` makes two arms of each.
    """

    path: Path
    question: str
    baseline: str | None
    cells: list[Cell]
    plots: list[str]
    """Metrics to plot over training, beside the return."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Task -> the training return whose reaching is timed, where the default does not suit."""

    @property
    def results(self) -> Path:
        """Where a row for each finished cell is kept."""
        return self.path.with_suffix(".jsonl")

    def arms(self) -> list[str]:
        """In the file's order, the baseline first."""
        names = list(dict.fromkeys(cell.arm for cell in self.cells))
        return sorted(names, key=lambda arm: arm != self.baseline)

    def envs(self) -> list[str]:
        """In the file's order."""
        return list(dict.fromkeys(cell.env for cell in self.cells))


def read_sweep(path: Path) -> Sweep:
    """A checked sweep.

    Raises:
        InputError: no such file, an unknown key, or a cell whose settings are wrong; one line that names it.
    """
    tree = read_mapping(path, "question, arms and grid")
    for key in tree:
        if key not in KEYS:
            raise InputError(f"{path}: unknown key {key!r}{suggest(str(key), KEYS)}")
    arms = _mapping(path, tree, "arms")
    common = flat(_mapping(path, tree, "settings", {}))
    if "budget" in tree:
        common["total_steps"] = tree["budget"]
    grids = tree.get("grid")
    grids = grids if isinstance(grids, list) else [grids]
    cells: dict[tuple[str, str, int], Cell] = {}
    for grid in grids:
        if not isinstance(grid, dict) or "env" not in grid:
            raise InputError(f"{path}: grid must name at least an env, such as {{env: HalfCheetah-v5, seed: 5}}")
        for cell in _expand(path, grid, arms, common):
            if cells.setdefault(cell.key, cell).settings != cell.settings:
                raise InputError(
                    f"{path}: grid: arm {cell.arm!r} on {cell.env}, seed {cell.seed}, is there twice, differently"
                )
    for cell in cells.values():
        try:
            configure(cell.settings)
        except InputError as error:
            raise InputError(f"{path}: arm {cell.arm!r} on {cell.env}: {error}") from None
    baseline, names = tree.get("baseline"), {cell.arm for cell in cells.values()}
    if baseline is not None and baseline not in names:
        raise InputError(f"{path}: baseline {baseline!r} is no arm{suggest(str(baseline), names)}")
    return Sweep(
        path,
        str(tree.get("question", "")),
        baseline,
        list(cells.values()),
        list(tree.get("plots", ())),
        _thresholds(path, tree, {cell.env for cell in cells.values()}),
    )


def _mapping(path: Path, tree: Mapping[str, Any], key: str, default: Any = None) -> dict[str, Any]:
    value = tree.get(key, default)
    if not isinstance(value, dict) or (default is None and not value):
        raise InputError(f"{path}: {key} = {value!r}: must map names to settings")
    return value


def _thresholds(path: Path, tree: Mapping[str, Any], envs: set[str]) -> dict[str, float]:
    found = _mapping(path, tree, "thresholds", {})
    for env, value in found.items():
        if env not in envs:
            raise InputError(f"{path}: thresholds: {env!r} is no task of the grid{suggest(str(env), envs)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{path}: thresholds: {env} = {value!r}: must be a number")
    return found


def _expand(path: Path, grid: dict[str, Any], arms: dict[str, Any], common: dict[str, Any]) -> list[Cell]:
    chosen = _list(grid.get("arm", list(arms)))
    for arm in chosen:
        if arm not in arms:
            raise InputError(f"{path}: grid: unknown arm {arm!r}{suggest(str(arm), arms)}")
    seeds = grid.get("seed", 1)
    seeds = list(range(seeds)) if isinstance(seeds, int) else _list(seeds)
    if not all(isinstance(seed, int) for seed in seeds):
        raise InputError(f"{path}: grid: seed = {grid['seed']!r}: must be a number of seeds or a list of them")
    more = {key: value for key, value in flat(grid).items() if key not in AXES}
    cells = []
    for env, arm, seed in itertools.product(_list(grid["env"]), chosen, seeds):
        for values in itertools.product(*map(_list, more.values())):
            extra = dict(zip(more, values, strict=True))
            listed = (
                f"{key.rpartition('.')[2]}={value}" for key, value in extra.items() if isinstance(more[key], list)
            )
            name = " ".join([arm, *listed])
            settings = common | flat(arms[arm] or {}) | extra | {"env": env, "seed": seed}
            cells.append(Cell(str(env), name, seed, settings))
    return cells


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
