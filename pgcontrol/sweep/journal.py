"""The journal of a search: its Optuna trials, in a file that several processes may share."""

from __future__ import annotations

import dataclasses
import math
import warnings
import zlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcontrol.machine import locks
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.sweep import space
from pgcontrol.sweep.cell import Key, difference, run_of
from pgcontrol.sweep.search import Search
from pgcontrol.sweep.space import Settings
from pgcontrol.sweep.trials import FINISHED, IMPOSSIBLE, TrialRow, ranked

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SEED = 1  # of the samplers, together with the trial's number, so that a continued search draws no point twice
# bounds of the number of trials before a sampler or a pruner uses the results of the others, which is a quarter of all
FEWEST, MOST = 3, 10


def require() -> None:
    """Check that Optuna is installed.

    Raises:
        InputError: it is not.
    """
    if find_spec("optuna") is None:
        raise InputError("search: needs optuna: pip install 'pgcontrol[search]'")


class _Turns:
    """A lock for Optuna's journal that always ends with its process, even if that is killed."""

    def __init__(self, file: Path):
        self._file, self._held = file, None

    def acquire(self) -> bool:
        self._held = locks.waiting(self._file)
        self._held.__enter__()
        return True

    def release(self) -> None:
        assert self._held is not None
        self._held.__exit__(None, None, None)


class Journal:
    """The trials of a search, with one Optuna study per arm."""

    def __init__(self, search: Search, folder: Path, rows: Sequence[TrialRow]):
        """Open the journal, or create it.

        Args:
            search: the search.
            folder: folder of the journal and of the trials' run folders.
            rows: rows of earlier trials, for a new journal.

        Raises:
            InputError: the journal is damaged, or belongs to another search.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # its version is pinned
        folder.mkdir(parents=True, exist_ok=True)
        self.search, self.folder, self.file = search, folder, folder / "journal.jsonl"
        for name in ("turn", "writing"):
            (folder / f".{name}").touch()
        lock: Any = _Turns(folder / ".writing")
        self._points = {arm: search.points(arm) for arm in search.searched()} if search.sampler == "grid" else {}
        with self.turn():
            try:
                storage = JournalStorage(JournalFileBackend(str(self.file), lock))
                if (names := optuna.get_all_study_names(storage)) and not set(names) & search.arms.keys():
                    raise InputError(
                        f"{self.file} belongs to another sweep (arms {', '.join(names)}); use another --runs"
                    )
                self.studies = {arm: self._study(storage, arm) for arm in search.searched()}
                for arm in self.studies:
                    self._fill(arm, {row.number: row for row in rows if row.arm == arm})
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(
                    f"{self.file} is damaged; delete it (finished trials have rows of their own)"
                ) from None

    def _study(self, storage: Any, arm: str) -> Study:
        import optuna

        study = optuna.create_study(
            storage=storage, study_name=arm, direction="maximize", load_if_exists=True, pruner=self._pruner()
        )
        asked = self.search.identity(arm)
        made = study.user_attrs.get("search", asked)
        if made != asked:
            how = difference(made, asked, "now")
            raise InputError(f"{self.file} belongs to another search ({how}); use another --runs, or delete its folder")
        return study

    def _fill(self, arm: str, rows: Mapping[int, TrialRow]) -> None:
        """Add the rows that a study does not have yet: the journal is new, or older than the rows.

        Trials that have no row begin again.
        """
        study = self.studies[arm]
        if len(study.get_trials(deepcopy=False)) > len(self.trials(arm)):
            self.begin(arm)  # it was proposed when its process was killed
        if "search" not in study.user_attrs:
            study.set_user_attr("search", self.search.identity(arm))
        for trial in self.trials(arm):
            row = rows.get(trial.number)
            if row and not trial.state.is_finished() and row.settings == self.settings(arm, trial.number):
                with suppress(InputError), locks.alone(self.place(arm, trial.number), "taken"):  # else it is running
                    self.end(row)
        for number in range(len(self.trials(arm)), max(rows, default=-1) + 1):
            if number in rows:
                study.add_trial(self._kept(arm, rows[number]))
            else:
                self.begin(arm)

    def _kept(self, arm: str, row: TrialRow) -> FrozenTrial:
        """The Optuna trial of a row."""
        from optuna.trial import create_trial

        axes = {axis.name: axis for axis in self.search.axes_of(arm)}
        settings = self.search.settings(arm) | row.settings
        return create_trial(
            state=_state(row.state),
            value=row.score if row.state == FINISHED else None,
            params={name: axes[name].kept(value) for name, value in row.settings.items()},
            distributions={name: axes[name].distribution(settings) for name in row.settings},
            user_attrs={"row": dataclasses.asdict(row)},
            intermediate_values=dict(row.values),
        )

    @contextmanager
    def turn(self) -> Generator[None]:
        """Lock the search, so that no other process or thread takes a trial."""
        with locks.waiting(self.folder / ".turn"):
            yield

    def trials(self, arm: str) -> list[FrozenTrial]:
        """All trials that have begun, by number."""
        return [trial for trial in self.studies[arm].get_trials(deepcopy=False) if trial.state.name != "WAITING"]

    def open(self) -> dict[tuple[str, int], FrozenTrial]:
        """The trials that have not ended, by arm and number."""
        return {(arm, t.number): t for arm in self.studies for t in self.trials(arm) if not t.state.is_finished()}

    def rows(self) -> list[TrialRow]:
        """The rows of the trials that have ended, with their current scores."""
        found = list[TrialRow]()
        for arm in self.studies:
            lines = [trial.user_attrs.get("row") for trial in self.trials(arm) if trial.state.is_finished()]
            rows = [TrialRow.read(line) for line in lines if line]
            found += ranked(rows) if self.search.score == "rank" else rows
        return found

    def place(self, arm: str, number: int) -> Path:
        """The folder of a trial's run folders."""
        return self.folder / Key(f"t{number}", arm, 0).name.removesuffix("-s0")

    def begin(self, arm: str) -> tuple[int, Settings]:
        """Begin the arm's next trial, inside `turn`; returns its number and its values.

        Raises:
            InputError: the values are invalid together; such a trial has ended.
        """
        study, number = self.studies[arm], len(self.trials(arm))
        if len(study.get_trials(deepcopy=False)) == number:  # otherwise one was proposed and never begun
            study.enqueue_trial(self._proposed(arm, number))
        return (begun := study.ask()).number, self._values(arm, begun)

    def settings(self, arm: str, number: int) -> Settings:
        return self._values(arm, self._trial(arm, number))

    def report(self, arm: str, number: int, stage: int, value: float) -> bool:
        """Save a trial's mean score at a stage; returns whether the pruner wants to stop it."""
        (trial := self._trial(arm, number)).report(value, stage)
        return trial.should_prune()

    def stage(self, arm: str, number: int) -> int:
        """The last stage of a trial that was reported; 0 if there is none."""
        return max(self.trials(arm)[number].intermediate_values, default=0)

    def end(self, row: TrialRow) -> None:
        """Save a trial that has ended."""
        trial = self._trial(row.arm, row.number)
        trial.set_user_attr("row", dataclasses.asdict(row))
        value = (row.score if row.scores else 0.0) if row.finished else None  # a rank depends on the other trials
        self.studies[row.arm].tell(trial, value, state=_state(row.state), skip_if_finished=True)

    def _trial(self, arm: str, number: int) -> Trial:
        from optuna import Trial

        # there is no public way to continue a trial that another process has begun
        return Trial(self.studies[arm], self.trials(arm)[number]._trial_id)

    def _values(self, arm: str, trial: Trial) -> Settings:
        """Optuna's value for each axis of the trial."""

        def value(axis: space.Axis, settings: Settings) -> list[Any]:
            return [axis.value(_suggested(trial, axis.name, axis.distribution(settings)))]

        return next(space.leaves(self.search.axes_of(arm), self.search.settings(arm), value))

    def _proposed(self, arm: str, number: int) -> dict[str, Any]:
        """The next point, in Optuna's representation."""
        import optuna

        if self._points:
            axes = {axis.name: axis for axis in self.search.axes_of(arm)}
            return {name: axes[name].kept(value) for name, value in self._points[arm][number].items()}
        # until so many have ended, TPE would draw random points
        ended = sum(trial.state.is_finished() for trial in self.trials(arm))
        early = self.search.sampler == "tpe" and min(number, ended) < self._early(arm)
        quasi = self.search.sampler == "sobol" or early
        view = optuna.create_study(direction="maximize", sampler=self._sampler(arm, number, quasi))
        if quasi:
            for _ in range(number):  # the sequence is the same in every process; skip the points that are used
                _ = view.ask().relative_params
        else:
            scores = {row.number: row.score for row in self.rows() if row.arm == arm and row.finished}
            for trial in self.studies[arm].get_trials():
                if trial.number in scores:
                    trial.value = scores[trial.number]
                view.add_trial(trial)
        beginnings = [{}, *self.search.beginnings(arm)]
        if self.search.sampler == "tpe" and number < len(beginnings):
            view.enqueue_trial(self._beginning(arm, beginnings[number]))
        trial = view.ask()
        self._values(arm, trial)
        return trial.params

    def _beginning(self, arm: str, chosen: Settings) -> dict[str, Any]:
        """Some chosen values and the defaults of the other searched settings, in Optuna's representation.

        Without any chosen ones it is the first trial, so the search also measures the defaults. Defaults outside the
        space are left out, and a default that depends on the task is that of the first task.
        """
        axes = self.search.axes_of(arm)
        given = self.search.settings(arm) | chosen
        found = {axis.name: axis.kept(chosen[axis.name]) for axis in axes if axis.name in chosen}
        usual = run_of(configure(given, together=False))
        for axis in (axis for axis in axes if axis.name in usual and axis.name not in chosen):
            for value in axis.choices or [usual[axis.name]]:
                if axis.has(value) and _parsed(given, axis.name, value) == usual[axis.name]:
                    found[axis.name] = axis.kept(value)
        return found

    def _sampler(self, arm: str, number: int, quasi: bool) -> BaseSampler:
        """Sobol's sequence if `quasi`; also for the first trials of TPE, whose random points could lie close together.

        Random numbers of consecutive seeds are not independent enough for a few points, so the seeds are hashed.
        """
        from optuna.samplers import QMCSampler, RandomSampler, TPESampler

        if not quasi:
            seed = zlib.crc32(f"{SEED}, {number}".encode())
            if self.search.sampler == "random":
                return RandomSampler(seed=seed)
            return TPESampler(seed=seed, n_startup_trials=self._early(arm), multivariate=True, group=True)
        corners = space.corners(self.search.axes_of(arm), self.search.settings(arm))
        axes = {axis.name: axis.distribution(settings) for axis, settings in corners}

        class Sobol(QMCSampler):
            """Sobol over all axes that may occur; Optuna would use only those of the first trial."""

            def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
                return dict(axes)

        return Sobol(scramble=True, seed=SEED)

    def _early(self, arm: str) -> int:
        """Number of an arm's trials before TPE uses the results of the others."""
        return self._quarter() + len(self.search.beginnings(arm))

    def _quarter(self) -> int:
        return min(max(math.ceil(self.search.trials / 4), FEWEST), MOST)

    def _protected(self) -> int:
        """Number of evaluations in which the median stops no trial.

        With several tasks it waits for the first run on each of them, because what suits one may be bad for another.
        With one task it waits for half of the first run: earlier, slow trials look hopeless.
        """
        tasks, evaluations = self.search.runs // len(self.search.seeds), self.search.evaluations
        return tasks * evaluations if tasks > 1 else evaluations // 2

    def _pruner(self) -> Any:
        from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

        if self.search.pruner == "median":
            return MedianPruner(n_startup_trials=self._quarter(), n_warmup_steps=self._protected())
        return SuccessiveHalvingPruner(1, 2) if self.search.pruner == "halving" else NopPruner()


def _parsed(settings: Settings, name: str, value: Any) -> Any:
    """A setting's value as a run has it: "64,64" is [64, 64]."""
    return run_of(configure(settings | {name: value}, together=False)).get(name)


def _suggested(trial: Trial, name: str, values: Any) -> Any:
    """A trial's value from a distribution; Optuna has a separate method for each kind."""
    if hasattr(values, "choices"):
        return trial.suggest_categorical(name, values.choices)
    suggest = trial.suggest_int if isinstance(values.low, int) else trial.suggest_float
    return suggest(name, values.low, values.high, log=values.log, step=values.step)


def _state(state: str) -> Any:
    from optuna.trial import TrialState

    names = {FINISHED: TrialState.COMPLETE, IMPOSSIBLE: TrialState.FAIL}
    return names.get(state, TrialState.PRUNED)
