"""A sweep: the cells that one YAML file defines, checked before anything runs."""

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcontrol.arguments import EPISODES
from pgcontrol.machine import yaml_file
from pgcontrol.options import InputError, option, pick, read, suggest
from pgcontrol.parts import command
from pgcontrol.runs.config import flat
from pgcontrol.sweep import family, found, on, references, search
from pgcontrol.sweep.cell import Cell, Key, difference
from pgcontrol.sweep.family import Family
from pgcontrol.sweep.on import On
from pgcontrol.sweep.references import Reference
from pgcontrol.sweep.search import Search
from pgcontrol.sweep.space import Settings

KEYS = ("question", "budget", "settings", "arms", "baseline", "grid", "plots", "thresholds", "references", "borrow")
KEYS += ("search", "episodes", "on", "family", "design")
AXES = ("env", "arm", "seed")
MOST_SEEDS = 10_000  # largest number of seeds per arm and task
# settings that must not be set here, and the reason
OWN = dict.fromkeys(("env", "seed"), "set it in the grid") | {"run_dir": "every run has its own folder; see --runs"}
OWN |= {"score_episodes": "set `episodes` of the sweep"}
SCORED = option(EPISODES, "episodes that score a final policy", least=1, most=10**6).metadata

LONGEST = 200  # bytes of a run folder's name: file systems allow 255, and other files add a suffix to the name


@dataclass(frozen=True)
class Sweep:
    """The content of a YAML file.

        question: Does a binned head learn HalfCheetah as fast as a Gaussian?
        budget: 1_000_000                   # environment steps per run
        settings: {video: false}            # for every run
        arms:                               # the alternatives to compare: name -> settings
          gaussian: {head: gaussian}
          binned-41: {head: binned, head.bins: 41}
        baseline: gaussian                  # the arm that others are compared with
        grid:                               # one mapping, or a list of them
          - {env: HalfCheetah-v5, seed: 5}  # seeds 0 to 4, all arms
          - {env: [Hopper-v5, Walker2d-v5], arm: gaussian, seed: [0, 1, 2]}

    `plots: [train/kl]` adds curves. `thresholds: {HalfCheetah-v5: 4000}` replaces the return to which the report
    measures the time. `references: {HalfCheetah-v5: {Tianshou PPO: 5784}}` are shown next to the results. `borrow:
    [heads.yaml]` uses runs of another sweep if all their settings are equal. `episodes: 100` is the number of episodes
    that score each final policy, from start states common to all runs; `{Reacher-v5: 1000}` changes it for single
    tasks. Any other key of a grid is a setting to vary:
    `head.bins: [3, 11]` makes two arms of each arm. `search` finds settings for each arm before these runs are made;
    see `Search`. `search: heads.yaml` uses those that another sweep found for arms of the same names. `on: slurm` makes
    the runs on a cluster; see `On`. `family: {margin: 0.1}` chooses the comparisons that are settled together; see
    `Family`. `design: {Seeds: 0 to 9, chosen before the runs}` is shown in the report.

    Attributes:
        plots: metrics to plot over training, in addition to the return.
        thresholds: task -> training return to which the time is measured, instead of the default.
        references: task -> returns that others reported.
        borrow: YAML files of other sweeps whose rows may be used.
        search: how settings are searched; None: no search.
        searched_by: YAML file of the sweep whose search is used instead, for all tasks or, with `per_task`, for each.
        on: engine and resources of the runs.
        family: the comparisons that are settled together.
        design: how the experiment was planned, heading -> text.
    """

    path: Path
    question: str
    baseline: str | None
    cells: list[Cell]
    plots: list[str]
    thresholds: dict[str, float] = field(default_factory=dict)
    references: dict[str, list[Reference]] = field(default_factory=dict)
    borrow: list[Path] = field(default_factory=list)
    search: Search | None = None
    searched_by: Path | None = None
    on: On = field(default_factory=On)
    family: Family = field(default_factory=Family)
    design: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The file with a row for each finished cell."""
        return self.path.with_suffix(".jsonl")

    def arms(self) -> list[str]:
        """Names of the arms in the order of the YAML, the baseline first."""
        return sorted(dict.fromkeys(cell.key.arm for cell in self.cells), key=lambda arm: arm != self.baseline)

    def envs(self) -> list[str]:
        """Tasks in the order of the YAML."""
        return list(dict.fromkeys(cell.key.env for cell in self.cells))

    def comparisons(self) -> list[tuple[str, str]]:
        """The (task, arm) that the family compares with another arm; see `rival`."""
        return self.family.comparisons((cell.key[:2] for cell in self.cells), self.baseline)

    def rival(self, arm: str) -> str | None:
        """The arm with which the family compares an arm: the baseline, if `against` does not name another."""
        return self.family.against.get(arm, self.baseline)


def read_sweep(path: Path, checked: bool = True) -> Sweep:
    """Read a sweep.

    Args:
        path: the YAML file.
        checked: whether to check the settings of every cell; a report needs no check if a plug-in is missing.

    Raises:
        InputError: no such file, an unknown key, or a cell with an invalid setting; one line that names it.
    """
    if path.name.endswith(found.SUFFIX):
        sweep = f"{path.name.removesuffix(found.SUFFIX)}.yaml"
        raise InputError(f"{path}: contains the settings that a search found; name its sweep, {sweep}")
    tree = yaml_file.read(path, "question, arms and grid")
    tree = {"on" if key is True else key: value for key, value in tree.items()}  # YAML reads `on` as a boolean
    try:
        sweep = _sweep(path, tree)
        for cell in sweep.cells if checked else ():
            _ = cell.config
        if checked and sweep.search:
            sweep.search.check()
        return sweep
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _sweep(path: Path, tree: Mapping[str, Any]) -> Sweep:
    for key in tree:
        pick("key", key, dict.fromkeys(KEYS))
    grids, own, common = _grids(tree), _arms(tree), _common(tree)
    asked, lender = tree.get("search"), _lender(path, tree.get("search"))
    tasks = [str(env) for grid in grids for env in _values("env", grid["env"])]
    here = _found(path, asked, lender, own, tasks)
    cells = _cells(grids, own, common, here, _episodes(tree.get("episodes", EPISODES), set(tasks)))
    arms, envs = {cell.key.arm: cell for cell in cells}, {cell.key.env for cell in cells}
    if tree.get("baseline") is not None:
        pick("baseline", tree["baseline"], arms)
    return Sweep(
        path,
        question=str(tree.get("question") or ""),
        baseline=tree.get("baseline"),
        cells=cells,
        plots=_names(tree, "plots", "metrics", "train/kl"),
        thresholds=_thresholds(tree, envs),
        references=references.read(tree.get("references") or {}, envs),
        borrow=_borrow(path, tree),
        search=_search(asked, own, common, cells) if asked is not None and lender is None else None,
        searched_by=lender,
        on=on.parse(tree.get("on")),
        family=family.parse(tree.get("family"), (cell.key[:2] for cell in cells), tree.get("baseline")),
        design=_design(tree.get("design")),
    )


def _lender(path: Path, asked: Any) -> Path | None:
    """The file of another sweep whose search is used."""
    if asked is None or (isinstance(asked, dict) and "of" not in asked):
        return None
    if isinstance(asked, dict):
        for key in asked:
            pick("key", key, dict.fromkeys(("of", "per_task")), " (search)")
        if type(per_task := asked.get("per_task", False)) is not bool:
            raise InputError(f"search: per_task = {per_task!r}: must be true or false")
    name = asked["of"] if isinstance(asked, dict) else asked
    if not isinstance(name, str):
        raise InputError(
            f"search = {asked!r}: must be a mapping, see docs/sweep.md, or another sweep, such as heads.yaml"
        )
    return _others(path, "search", [name])[0]


def _found(
    path: Path, asked: Any, lender: Path | None, arms: Mapping[str, Settings], tasks: list[str]
) -> dict[str, Settings]:
    """The settings that the sweep's search found, or that of another sweep."""
    if lender is None:
        return {} if asked is None else found.read(found.file_of(path))
    reading = found.read_per_task if isinstance(asked, dict) and asked.get("per_task") else found.read
    if not (here := reading(found.file_of(lender))):
        makes = command("compare", lender, "--search-only")
        raise InputError(f"search: {lender.name} has found no settings yet: {makes}")
    for arm in arms:
        if not any(name == arm or name.startswith(search.on_task(arm, "")) for name in here):
            raise InputError(f"search: {lender.name} has not searched arm {arm!r}; it has {', '.join(here)}")
    for arm, task in itertools.product(arms, tasks):
        if arm not in here and search.on_task(arm, task) not in here:
            raise InputError(f"search: {lender.name} has not searched {search.on_task(arm, task)}")
    return here


def _search(tree: Any, arms: Mapping[str, Settings], common: Settings, cells: list[Cell]) -> Search:
    asked = search.parse(tree, {arm: common | own for arm, own in arms.items()}, {cell.key.seed for cell in cells})
    names = {axis.name for axis in asked.axes}
    for cell in cells:
        if varied := [name for name in names & cell.settings.keys() if cell.origins[name] == "grid"]:
            raise InputError(f"search: space: {varied[0]}: the grid already sets it")
    places = dict[str, str]()
    if asked.per_task and (others := [cell.key.env for cell in cells if cell.key.env not in asked.tasks]):
        raise InputError(f"search: per_task: tasks: {others[0]} of the grid is missing, so nothing is searched for it")
    for arm, task in asked.pairs():
        if len((name := Key(task, arm, max(asked.seeds)).name).encode()) > LONGEST:
            raise InputError(f"search: {arm[:40]!r}... on {task} makes a folder name of more than {LONGEST} bytes")
        if (other := places.setdefault(name, arm)) != arm:
            raise InputError(f"search: arms {other!r} and {arm!r} would share run folders; rename one")
    return asked


def _design(given: Any) -> dict[str, str]:
    known = {} if given is None else given
    if not isinstance(known, dict) or not all(isinstance(word, str) for both in known.items() for word in both):
        raise InputError(f"design = {given!r}: must map headings to text, such as {{Seeds: chosen before the runs}}")
    return {heading: " ".join(text.split()) for heading, text in known.items()}


def _common(tree: Mapping[str, Any]) -> dict[str, Any]:
    common = _settings("settings", tree.get("settings"))
    if "budget" in tree and "total_steps" in common:
        raise InputError(f"settings: total_steps = {common['total_steps']!r}: budget already sets it")
    return common | ({"total_steps": tree["budget"]} if "budget" in tree else {})


def _arms(tree: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    arms = tree.get("arms")
    if not isinstance(arms, dict) or not arms:
        raise InputError(f"arms = {arms!r}: must map names to settings, such as {{gaussian: {{head: gaussian}}}}")
    for name in arms:
        if not isinstance(name, str):
            raise InputError(f"arms: {name!r}: a name must be text; put it in quotes")
    return {name: _settings(f"arms: {name}", settings) for name, settings in arms.items()}


def _settings(where: str, settings: Any) -> dict[str, Any]:
    if not isinstance(settings, dict | None):
        raise InputError(f"{where} = {settings!r}: must map settings to values, such as {{head: binned}}")
    settings = flat(settings or {})
    for key in settings.keys() & OWN.keys():
        raise InputError(f"{where}: {key} = {settings[key]!r}: {OWN[key]}")
    return settings


def _names(tree: Mapping[str, Any], key: str, things: str, example: str) -> list[str]:
    given = tree.get(key)
    names = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{key} = {given!r}: must be a list of {things}, such as [{example}]")
    return names


def _borrow(path: Path, tree: Mapping[str, Any]) -> list[Path]:
    return _others(path, "borrow", _names(tree, "borrow", "other sweeps", "heads.yaml"))


def _others(path: Path, key: str, names: list[str]) -> list[Path]:
    """The files of other sweeps in the same folder."""
    others = [path.parent / name for name in names]
    there = [file.name for file in path.parent.glob("*.yaml") if file.name != path.name]
    for other in others:
        if other == path or not os.path.isfile(other):  # also False for an invalid file name
            raise InputError(f"{key}: {other.name!r} is no other sweep in this folder{suggest(other.name, there)}")
    return others


def _thresholds(tree: Mapping[str, Any], envs: set[str]) -> dict[str, float]:
    returns = "returns, such as {HalfCheetah-v5: 4000}"
    found = references.by_task(tree.get("thresholds") or {}, "thresholds", envs, returns)
    return {env: read(f"thresholds: {env}", value, float, references.RETURN) for env, value in found.items()}


def _episodes(given: Any, envs: set[str]) -> dict[str, int]:
    """Task -> number of episodes that score a final policy."""
    if not isinstance(given, dict):
        return dict.fromkeys(envs, int(read("episodes", given, int, SCORED)))
    named = references.by_task(given, "episodes", envs, "numbers, such as {Reacher-v5: 1000}")
    counts = {env: read(f"episodes: {env}", value, int, SCORED) for env, value in named.items()}
    return {**dict.fromkeys(envs, EPISODES), **counts}


def _grids(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = tree.get("grid")
    grids: list[Any] = given if isinstance(given, list) else [given]
    if not grids or not all(isinstance(grid, dict) and "env" in grid for grid in grids):
        raise InputError("grid must name at least an env, such as {env: HalfCheetah-v5, seed: 5}")
    return grids


def _cells(
    grids: list[Settings],
    arms: dict[str, Settings],
    common: Settings,
    found: Mapping[str, Settings],
    episodes: Mapping[str, int],
) -> list[Cell]:
    """The cells of all grids. Cells of an arm on a task differ only in their seeds, and no two share a folder."""
    cells, kinds, names = dict[Key, Cell](), dict[tuple[str, str], Settings](), dict[str, Key]()
    for cell in (cell for grid in grids for cell in _expand(grid, arms, common, found, episodes)):
        key, settings = cell.key, cell.settings
        cells.setdefault(key, cell)
        first = kinds.setdefault((key.env, key.arm), settings)
        if first != settings | {"seed": first["seed"]}:
            how = difference(first | {"seed": key.seed}, settings, "there")
            what = f"arm {key.arm!r} on {key.env} differs between seeds {first['seed']} and {key.seed}"
            raise InputError(f"grid: {what} ({how}); name another arm, or list the values")
        if (long := len(key.name.encode())) > LONGEST:
            advice = "shorten the arm, or define arms instead of lists in the grid"
            what = f"{key.arm[:40]!r}... on {key.env} makes a folder name of {long} bytes"
            raise InputError(f"arms: {what}, more than {LONGEST}; {advice}")
        if (other := names.setdefault(key.name, key)) != key:
            both = f"{other.arm!r} on {other.env} and {key.arm!r} on {key.env}"
            raise InputError(f"arms: {both} would share the run folder {key.name}; rename one")
    return [*cells.values()]


def _expand(
    grid: Settings,
    arms: dict[str, Settings],
    common: Settings,
    found: Mapping[str, Settings],
    episodes: Mapping[str, int],
) -> Iterator[Cell]:
    """The cells of a grid. Precedence of settings: the grid, the arm, common settings, settings from the search."""
    more = _settings("grid", {key: value for key, value in grid.items() if key not in AXES})
    envs, chosen = _values("env", grid["env"]), _values("arm", grid.get("arm", list(arms)))
    varied = [_values(key, value) for key, value in more.items()]
    for env, arm, seed, *values in itertools.product(envs, chosen, _seeds(grid), *varied):
        extra = dict(zip(more, values, strict=True))
        listed = (f"{key.rpartition('.')[2]}={value}" for key, value in extra.items() if isinstance(more[key], list))
        own = pick("arm", arm, arms)
        searched = found.get(arm, {}) | found.get(search.on_task(arm, str(env)), {})
        layers = {"search": searched, "settings": common, "arm": own, "grid": flat(extra)}
        layers["grid"] |= {"env": env, "seed": seed}
        settings = {key: value for layer in layers.values() for key, value in layer.items()}
        origins = {key: name for name, layer in layers.items() for key in layer}
        yield Cell(Key(str(env), " ".join([arm, *listed]), seed), settings, origins, episodes[str(env)])


def _seeds(grid: dict[str, Any]) -> list[int]:
    given = grid.get("seed", 1)
    if type(given) is int and given > MOST_SEEDS:
        raise InputError(f"grid: seed = {given}: must be at most {MOST_SEEDS} seeds")
    seeds = list(range(given)) if type(given) is int else given
    if not isinstance(seeds, list) or any(type(seed) is not int for seed in seeds):
        raise InputError(f"grid: seed = {given!r}: must be a number of seeds or a list of them")
    if not seeds:
        raise InputError(f"grid: seed = {given}: the grid is empty; give a number of seeds or a list, such as [0]")
    return _values("seed", seeds)


def _values(key: str, value: Any) -> list[Any]:
    """The values of a key of the grid."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InputError(f"grid: {key} = []: the grid is empty")
    if any(v in values[:i] for i, v in enumerate(values)):
        advice = "" if key in AXES else f"; if this list is one value, put it in a list: {[values]}"
        raise InputError(f"grid: {key} = {value}: two variants are the same run{advice}")
    return values
