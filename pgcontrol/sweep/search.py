"""The block `search:` of a sweep's YAML: how settings are searched for each arm before its reported runs."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pgcontrol.machine import files
from pgcontrol.options import REQUIRED, InputError, option, pick, read, read_options
from pgcontrol.runs.config import TRACELESS, configure
from pgcontrol.sweep import references, space
from pgcontrol.sweep.cell import run_of
from pgcontrol.sweep.space import Axis, Settings
from pgcontrol.text import count

MOST = 10_000  # largest number of trials per arm
SAMPLERS = ("tpe", "sobol", "random", "grid")
PRUNERS = ("median", "halving", "none")
SCORES = ("normalised", "rank")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of a search, except its space and its references."""

    trials: int = option(REQUIRED, "number of trials for each arm", least=1, most=MOST)
    budget: int = option(REQUIRED, "environment steps of each run of a trial", least=1, most=10**11)
    tasks: tuple[str, ...] = option(REQUIRED, "tasks on which each trial runs, one after the other")
    seeds: tuple[int, ...] = option(REQUIRED, "seeds of these runs, not those of the grid", least=0, most=2**63 - 1)
    score: str = option("normalised", "score of a trial, a mean over tasks and seeds", choices=SCORES)
    sampler: str = option("tpe", "method that proposes settings", choices=SAMPLERS)
    pruner: str = option("median", "method that stops hopeless trials", choices=PRUNERS)
    evaluations: int = option(4, "evaluations per run, after which a trial may be stopped", least=1, most=1000)
    per_task: bool = option(False, "whether every task has its own trials and its own settings")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search(SearchOptions):
    """A search of settings for every arm of a sweep.

        search:
          space:
            algorithm.learning_rate: {low: 1.0e-4, high: 3.0e-3, log: true}
            head.initial_std: {low: 0.2, high: 1.0}
            head.bins: [7, 11, 21]   # for arms whose head has bins
          trials: 16                 # for each arm
          budget: 100_000            # environment steps of each run of a trial
          tasks: [Hopper-v5, Walker2d-v5]
          seeds: [100, 101]          # must not be in the grid
          score: normalised          # 0: no torque, 1: the reference; or rank
          reference: {Hopper-v5: 3600, Walker2d-v5: 4900}
          sampler: tpe               # or sobol, random, grid
          pruner: median             # or halving, none
          per_task: true             # settings for each task, not for all of them
          try_first: [{head.initial_std: 0.4}]  # after the defaults; what is left out has its default

    Attributes:
        axes: the searched settings, names before numbers.
        reference: task -> return that is normalised to 1.
        try_first: values that TPE tries before its own; every arm tries those that it has.
        arms: arm -> settings of its runs in the YAML. With `per_task`, the arms of the search are those of the sweep on
            each task, see `on_task`.
    """

    axes: list[Axis]
    reference: dict[str, float]
    try_first: list[Settings]
    arms: dict[str, Settings]

    @property
    def runs(self) -> int:
        """Number of runs per trial."""
        return (1 if self.per_task else len(self.tasks)) * len(self.seeds)

    @property
    def eval_every(self) -> int:
        """Environment steps between two evaluations of a run."""
        return -(-self.budget // self.evaluations)

    def tasks_of(self, arm: str) -> tuple[str, ...]:
        """The tasks of an arm's trials."""
        return (self.arms[arm]["env"],) if self.per_task else self.tasks

    def pairs(self) -> list[tuple[str, str]]:
        """Every (arm, task) that trials may run."""
        return [(arm, task) for arm in self.arms for task in self.tasks_of(arm)]

    def base(self, arm: str) -> str:
        """The sweep's arm that an arm of the search belongs to."""
        return arm.removesuffix(on_task("", self.tasks_of(arm)[0])) if self.per_task else arm

    def searched(self) -> list[str]:
        """The arms that have a setting to search."""
        return [arm for arm in self.arms if any(True for _ in space.corners(self.axes_of(arm), self.settings(arm)))]

    def axes_of(self, arm: str) -> list[Axis]:
        """The settings that are searched for an arm: those that the YAML does not set."""
        given = self.settings(arm)
        return [axis for axis in self.axes if axis.name not in given and (axis.arms is None or arm in axis.arms)]

    def settings(self, arm: str, task: str | None = None) -> Settings:
        """The settings of a trial's runs, without the searched ones."""
        trial = {"total_steps": self.budget, "eval_every": self.eval_every, "video": False}
        return self.arms[arm] | trial | {"env": task or self.tasks_of(arm)[0]}

    def identity(self, arm: str) -> dict[str, str]:
        """All that identifies the search for an arm; the number of trials and other tasks do not count."""
        names = {f.name for f in dataclasses.fields(SearchOptions)} - {"trials", "per_task", "tasks"}
        given = {key: value for key, value in self.settings(arm).items() if key not in TRACELESS}
        fields = {name: getattr(self, name) for name in names} | given | {"tasks": self.tasks_of(arm)}
        fields["reference"] = {task: self.reference[task] for task in self.tasks_of(arm) if task in self.reference}
        axes = {axis.name: str(axis) for axis, _ in space.corners(self.axes_of(arm), self.settings(arm))}
        tried = {"try_first": str(self.beginnings(arm))} if self.try_first else {}
        return {key: str(value) for key, value in fields.items()} | axes | tried

    def fingerprint(self, arm: str) -> str:
        """Checksum of `identity`."""
        return files.checksum(repr(sorted(self.identity(arm).items())))

    def defaults(self, arm: str) -> str:
        """Checksum of all settings of a trial's runs but the searched ones, including the package's defaults."""
        searched = {axis.name for axis in self.axes_of(arm)}
        runs = [run_of(configure(self.settings(arm, task))) for task in self.tasks_of(arm)]
        kept = [sorted((key, value) for key, value in run.items() if key not in searched) for run in runs]
        return files.checksum(repr(kept))

    def asks(self, arm: str, fingerprint: str) -> bool:
        """Whether a trial with this fingerprint belongs to this search."""
        return arm in self.arms and fingerprint == self.fingerprint(arm)

    def beginnings(self, arm: str) -> list[Settings]:
        """The values in `try_first` of settings that are searched for an arm; entries without any are left out."""
        names = {axis.name for axis, _ in space.corners(self.axes_of(arm), self.settings(arm))}
        every = [{name: value for name, value in given.items() if name in names} for given in self.try_first]
        return [given for i, given in enumerate(every) if given and given not in every[:i]]

    def points(self, arm: str) -> list[Settings]:
        """The points of a grid, one per trial."""
        every = space.leaves(self.axes_of(arm), self.settings(arm), lambda axis, _: axis.values())
        return list(itertools.islice(every, MOST + 1))

    def check(self) -> Self:
        """Check every value that the search may try.

        Raises:
            InputError: names the setting, its value and the valid values.
        """
        for arm, task in self.pairs():
            if configure(self.settings(arm, task)).peer != "none" and arm in self.searched():
                advice = "list the other arms in the space: {..., arms: [...]}"
                raise InputError(f"search: arm {arm!r}: a peer's runs are not evaluated in training; {advice}")
        try:
            corners = [c for arm in self.arms for c in space.corners(self.axes_of(arm), self.settings(arm))]
            for axis, settings in corners:
                axis.check(settings)
        except InputError as error:
            raise InputError(f"search: space: {error}") from None
        there = {axis.name for axis, _ in corners}
        for axis in self.axes:
            if axis.name not in there:
                raise InputError(f"search: space: {self._missing(axis)}")
        self._check_grid()
        self._check_first()
        return self

    def _check_first(self) -> None:
        axes = {axis.name: axis for axis in self.axes}
        for given in self.try_first:
            for name, value in given.items():
                pick("setting", name, axes, " (search: try_first)")
                if not axes[name].has(value):
                    raise InputError(f"search: try_first: {name} = {value!r}: must be in {axes[name]}")
        for arm in self.searched():
            for given in self.beginnings(arm):
                try:
                    configure(self.settings(arm) | given, together=False)
                except InputError as error:
                    raise InputError(f"search: try_first: {error}") from None

    def _missing(self, axis: Axis) -> str:
        """Why no arm has a setting: the first reason with a suggestion, or the first one."""
        reasons = list[str]()
        for arm in axis.arms or self.arms:
            if axis.name in (given := self.settings(arm)):
                reasons.append(f"{axis.name}: {arm} already sets it to {given[axis.name]!r}, so it cannot be searched")
                continue
            try:
                configure(given | {axis.name: axis.ends[0]})
            except InputError as error:
                reasons.append(str(error))
        reasons.append(f"{axis.name}: not a setting of a run")
        return next((why for why in reasons if "did you mean" in why), reasons[0])

    def _check_grid(self) -> None:
        if self.sampler != "grid":
            return
        sizes = {arm: len(self.points(arm)) for arm in self.searched()}
        if len(set(sizes.values())) > 1:
            each = ", ".join(f"{arm} {n}" for arm, n in sizes.items())
            advice = "give every arm the same number of points, or choose another sampler"
            raise InputError(f"search: space: the grid has different numbers of points per arm ({each}): {advice}")
        if (size := max(sizes.values())) != self.trials:
            raise InputError(f"search: trials = {self.trials}: the grid has {size} points; must be {size}")


def parse(tree: Any, arms: Mapping[str, Settings], reported: Iterable[int]) -> Search:
    """Parse a search. The values in its space are not checked yet, see `Search.check`.

    Args:
        tree: the block `search` of the YAML.
        arms: arm -> settings of its runs in the YAML.
        reported: seeds of the grid.

    Raises:
        InputError: one line that names the key.
    """
    if not isinstance(tree, dict):
        raise InputError(f"search = {tree!r}: must map space, trials, budget, tasks and seeds to values")
    tree = dict(tree)
    axes, reference = space.read(tree.pop("space", None), arms), tree.pop("reference", None)
    try_first = _try_first(tree.pop("try_first", []))
    if isinstance(tree.get("trials"), dict):
        raise InputError(f"search: trials = {tree['trials']}: must be one number, the same for every arm")
    for key in ("tasks", "seeds"):
        _require_list(key, tree.get(key))
    required = [f.name for f in dataclasses.fields(SearchOptions) if f.default is REQUIRED]
    found = read_options(SearchOptions, tree, "search.", ("space", "reference", "try_first"))
    for key in ("tasks", "seeds"):
        if len(set(found[key])) < len(found[key]):
            raise InputError(f"search: {key} = {tree[key]!r}: a value occurs twice")
    if missing := [name for name in required if name not in tree]:
        raise InputError(f"search: {', '.join(missing)} missing")
    if seen := [seed for seed in found["seeds"] if seed in set(reported)]:
        raise InputError(f"search: seeds: {seen[0]} is a seed of the grid; use other seeds, such as 100")
    options = SearchOptions(**found)
    if options.score == "rank" and options.pruner != "none":
        raise InputError(f"search: pruner = {options.pruner!r}: a rank is only known at the end; use pruner: none")
    if try_first and (options.sampler != "tpe" or len(try_first) >= options.trials):
        what = "only for sampler: tpe" if options.sampler != "tpe" else f"must be fewer than trials = {options.trials}"
        raise InputError(f"search: try_first has {count(len(try_first), 'trial')}: {what}")
    if options.per_task:
        axes = [dataclasses.replace(a, arms=a.arms and tuple(_on_tasks(a.arms, options.tasks))) for a in axes]
        arms = {name: arms[arm] | {"env": task} for name, (arm, task) in _on_tasks(arms, options.tasks).items()}
    return Search(**found, axes=axes, reference=_reference(reference, options), try_first=try_first, arms=dict(arms))


def on_task(arm: str, task: str) -> str:
    """The name of an arm's search on one task; see `Search.per_task`."""
    return f"{arm} on {task}"


def _on_tasks(arms: Iterable[str], tasks: Sequence[str]) -> dict[str, tuple[str, str]]:
    return {on_task(arm, task): (arm, task) for arm, task in itertools.product(arms, tasks)}


def _require_list(key: str, given: Any) -> None:
    if not isinstance(given, list) or not given:
        example = {"tasks": "[Hopper-v5]", "seeds": "[100, 101]"}[key]
        raise InputError(f"search: {key} = {given!r}: must be a list, such as {example}")


def _try_first(tree: Any) -> list[Settings]:
    if not isinstance(tree, list) or not all(isinstance(each, dict) and each for each in tree):
        example = "[{head.initial_std: 0.4}, {algorithm.gamma: 0.98}]"
        raise InputError(f"search: try_first = {tree!r}: must be a list of settings, such as {example}")
    return [{str(name).replace("-", "_"): value for name, value in each.items()} for each in tree]


def _reference(tree: Any, options: SearchOptions) -> dict[str, float]:
    returns = "returns that are normalised to 1, such as {Hopper-v5: 3600}"
    given = references.by_task(tree or {}, "search: reference", set(options.tasks), returns, "search")
    for task in options.tasks if options.score == "normalised" else ():
        if task not in given:
            raise InputError(f"search: reference: {task} is missing: give {returns}, or use score: rank")
    limits = references.RETURN
    return {task: read(f"search: reference: {task}", value, float, limits) for task, value in given.items()}
