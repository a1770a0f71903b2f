"""The search of a sweep: makes trials, several at a time, until every arm has its number of them."""

import datetime
import functools
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pgcontrol.machine import locks, revisions
from pgcontrol.measures.curves import STEPS
from pgcontrol.options import InputError
from pgcontrol.parts import command
from pgcontrol.play import evaluate
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import env_to_play
from pgcontrol.runs.log import last_row, read_rows
from pgcontrol.sweep import found, journal, run_state, trials
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.executor import Ended, Executor, Say
from pgcontrol.sweep.journal import Journal
from pgcontrol.sweep.policies import require_policies
from pgcontrol.sweep.search import Search
from pgcontrol.sweep.space import Settings
from pgcontrol.sweep.sweep import Sweep, read_sweep
from pgcontrol.sweep.trials import CRASHED, DIVERGED, FINISHED, IMPOSSIBLE, STOPPED, Returns, TrialRow
from pgcontrol.text import count, lasting, short, typed

PAUSE = 1.0  # seconds between two checks of what other processes do
EPISODES = 20  # number of episodes of the zero policy
EVALUATION = "eval/mean_reward"  # the log's metric for the return of the mode
Result = tuple[str, float]  # a finished run of a trial: its task and its last evaluation


class Ending(Exception):
    """A trial ends early.

    Attributes:
        state: the state of the trial.
    """

    def __init__(self, state: str, why: str):
        super().__init__(why)
        self.state = state


class Interrupted(Exception):
    """The search stops before the trial has ended."""


class Taken(NamedTuple):
    """A trial that is locked for this thread.

    Attributes:
        values: values of the searched settings.
        lock: closed when the trial has ended or is left.
    """

    arm: str
    number: int
    values: Settings
    lock: ExitStack


def cells(search: Search, arm: str, values: Settings) -> list[Cell]:
    """The runs of a trial, in the order in which they are made: all tasks with one seed, then with the next one."""
    keys = [Key(task, search.base(arm), seed) for seed in search.seeds for task in search.tasks_of(arm)]
    return [Cell(key, search.settings(arm, key.env) | values | {"seed": key.seed}) for key in keys]


def zeros(search: Search) -> dict[str, float]:
    """Task -> mean return without any torque; empty if scores are ranks.

    Raises:
        InputError: a reference is not larger.
    """
    found, seed = dict[str, float](), search.seeds[0]
    for task in search.tasks if search.score == "normalised" else ():
        arm = next(arm for arm in search.searched() if task in search.tasks_of(arm))
        name = configure(search.settings(arm, task), together=False).env  # with the settings of the task
        with closing(env_to_play(name, EPISODES, seed)) as env:
            played = evaluate.episodes(env, evaluate.zero_agent(env), seed, count=EPISODES)
        found[task] = float(played.returns.mean())
        if found[task] >= search.reference[task]:
            what = f"{search.reference[task]:g}: must be above {short(found[task])}, the return without any torque"
            raise InputError(f"search: reference: {task} = {what}")
    return found


def search(sweep: Sweep, executor: Executor, where: Path, say: Say) -> bool:
    """Make the missing trials, and write the best settings.

    Several processes may do this at the same time; they share the trials. Unfinished trials are continued.

    Args:
        sweep: a sweep with a search.
        executor: the engine.
        where: folder of the journal and of the trials' run folders.
        say: called with a line for each trial.

    Returns:
        Whether every arm has all its trials; False if some failed.

    Raises:
        InputError: Optuna is missing, a trial cannot be run, or the journal belongs to another search.
        KeyboardInterrupt: it was stopped; the same call continues.
    """
    asked, rows = _asked(sweep)
    return Searching(sweep, asked, executor, where, rows, say).run()


def _asked(sweep: Sweep) -> tuple[Search, list[TrialRow]]:
    """The search of a sweep, and the rows that it already has."""
    asked = sweep.search
    assert asked is not None
    journal.require()
    return asked, _rows(sweep, asked)


def _rows(sweep: Sweep, asked: Search) -> list[TrialRow]:
    return [row for row in trials.read(trials.file_of(sweep.path)) if asked.asks(row.arm, row.search)]


def require_found(sweep: Sweep) -> None:
    """Check that another sweep's search, whose settings are used, is complete and has not changed since.

    Raises:
        InputError: it is not, or it has.
    """
    if (other := sweep.searched_by) is None:
        return
    lender = read_sweep(other).search
    if lender and (seen := sorted({cell.key.seed for cell in sweep.cells} & {*lender.seeds})):
        raise InputError(f"grid: seed = {seen[0]}: {other.name} has searched with it; use other seeds")
    if lender is None or not found.answers(found.file_of(other), lender):
        advice = command("compare", other, "--search-only")
        why = "has changed since its search, or has another number of trials"
        raise InputError(f"search: {other.name} {why}: {advice}")


def outdated(sweep: Sweep) -> str:
    """Text on trials that were made with other defaults of the package and still count; empty if there are none."""
    if (asked := sweep.search) is None:
        return ""
    rows = trials.first(_rows(sweep, asked), asked.trials)
    now = {arm: asked.defaults(arm) for arm in {row.arm for row in rows}}
    others = [row for row in rows if row.defaults not in ("", now[row.arm])]
    if not others:
        return ""
    file = trials.file_of(sweep.path)
    advice = f"they still count; delete {file.name}, {found.file_of(sweep.path).name} and the journal to repeat them"
    return f"search: {count(len(others), 'trial')} made with older defaults: {advice}"


def expect(sweep: Sweep, executor: Executor, say: Say) -> float:
    """Print how many trials are missing and how long they will take.

    Returns:
        Seconds until the last trial has ended; 0 if nothing was measured.

    Raises:
        InputError: Optuna is missing, or a trial cannot be run.
    """
    asked, made = _asked(sweep)
    rows = trials.first(made, asked.trials)
    require_policies(sweep, asked)
    arms = asked.searched()
    missing = {arm: max(asked.trials - sum(row.arm == arm for row in rows), 0) for arm in arms}
    runs = f"{count(asked.runs, 'run')} of {asked.budget:,} steps"
    say(f"search: {count(asked.trials, 'trial')} for each arm ({', '.join(arms)}), {runs} per trial, {len(rows)} done")
    kinds = {arm: cells(asked, arm, {}) for arm, n in missing.items() if n}
    times = executor.expected(list(itertools.chain(*kinds.values())), say) if kinds else {}  # of the default settings
    of_trial = {arm: sum(times.get(cell.key, 0.0) for cell in mine) for arm, mine in kinds.items()}
    whole = sum(missing[arm] * seconds for arm, seconds in of_trial.items()) / executor.jobs
    if times:
        less = ", less if trials are stopped" if asked.pruner != "none" else ""
        what = f"{count(sum(missing.values()), 'trial')} of the search with the default settings{less}"
        say(f"expected: about {lasting(whole)} for {what}")
    return whole


class Searching:
    """A running search: one thread per parallel run, each of which makes one trial after the other."""

    def __init__(self, sweep: Sweep, search: Search, executor: Executor, where: Path, rows: list[TrialRow], say: Say):
        self.sweep, self.search, self.executor, self.say = sweep, search, executor, say
        self.file = trials.file_of(sweep.path)
        self.zero = zeros(search)
        self.journal = Journal(search, where, rows)
        self.failed = set[tuple[str, int]]()
        self.stages: dict[tuple[str, int], int] = {}  # number of evaluations of each trial that were used
        self.stopping = threading.Event()
        self.began, self.ended = time.monotonic(), 0

    def run(self) -> bool:
        """Run until every trial has ended, here or in another process; see `search`."""
        with ThreadPoolExecutor(self.executor.jobs) as pool:
            while self._left():
                try:
                    for worker in as_completed([pool.submit(self._work) for _ in range(self.executor.jobs)]):
                        worker.result()
                    if self._left():
                        time.sleep(PAUSE)  # another process is making them, or was killed
                except BaseException:
                    self.stopping.set()
                    raise
        rows = self._keep()
        if self.failed:
            self.say(f"{count(len(self.failed), 'trial')} of the search failed; the same command tries them again")
            return False
        found.write(found.file_of(self.sweep.path), self.sweep.path, self.search, rows, self.zero)
        return True

    def _left(self) -> int:
        """Number of trials that have not ended, without those that failed here."""
        begun = {arm: self.journal.trials(arm) for arm in self.journal.studies}
        unbegun = sum(max(self.search.trials - len(each), 0) for each in begun.values())
        return unbegun + len(self._open().keys() - self.failed)

    def _open(self) -> dict[tuple[str, int], Any]:
        """The trials that have not ended and still count; see `trials.first`."""
        return {key: trial for key, trial in self.journal.open().items() if key[1] < self.search.trials}

    def _work(self) -> None:
        while not self.stopping.is_set() and (taken := self._take()):
            with taken.lock:
                self._make(taken)

    def _take(self) -> Taken | None:
        """Take a trial: an unfinished one that is not locked, or the next one of the arm with the fewest trials."""
        with self.journal.turn():
            for arm, number in self._open():
                if (arm, number) not in self.failed and (lock := self._lock(arm, number)):
                    return Taken(arm, number, self.journal.settings(arm, number), lock)
            arm = min(self.journal.studies, key=lambda arm: len(self.journal.trials(arm)))
            if len(self.journal.trials(arm)) < self.search.trials:
                number, values = self.journal.begin(arm)
                lock = self._lock(arm, number)
                return Taken(arm, number, values, lock) if lock else None
        return None

    def _lock(self, arm: str, number: int) -> ExitStack | None:
        place, lock = self.journal.place(arm, number), ExitStack()
        place.mkdir(exist_ok=True)
        try:
            lock.enter_context(locks.alone(place, "taken"))
        except InputError:
            return None
        return lock

    def _make(self, taken: Taken) -> None:
        """Make the runs of a trial, one after the other, and its row."""
        rows, state, why = list[Result](), FINISHED, ""
        try:
            asked = cells(self.search, taken.arm, taken.values)
            for cell in asked:
                self._check(cell)
            for cell in asked:
                self._run(taken, cell, rows)
        except Interrupted:
            return
        except Ending as ending:
            state, why = ending.state, str(ending)
            self.executor.cancel(self.journal.place(taken.arm, taken.number))  # a cluster's job would continue
        except InputError as error:
            self.failed.add(taken[:2])
            self.say(f"{taken.arm}, trial {taken.number} failed: {error}")
            return
        row = self._row(taken, rows, state, why)
        self.journal.end(row)
        self.ended += 1
        self._report(row)
        self._keep()

    def _check(self, cell: Cell) -> None:
        try:
            _ = cell.config
        except InputError as error:
            raise Ending(IMPOSSIBLE, str(error)) from None

    def _run(self, taken: Taken, cell: Cell, rows: list[Result]) -> None:
        """Make a run of a trial, and append its result to `rows`."""
        where, error = self.journal.place(taken.arm, taken.number), ""
        folder = where / cell.name
        if not run_state.ended(cell, folder):
            with closing(self.executor.run([cell], where)) as outcomes:
                for outcome in outcomes:
                    if isinstance(outcome, Ended):
                        error = outcome.error
                    elif self.stopping.is_set():
                        raise Interrupted
                    else:
                        self._look(taken, cell, folder, rows)
        if RunFolder(folder).manifest().get("status") == "diverged":
            raise Ending(DIVERGED, error or f"{cell.name} diverged")
        if error and not run_state.ended(cell, folder):
            # an exception in training comes again with the same seed; other failures are the machine's or the user's
            raise Ending(CRASHED, error) if run_state.crashed(cell, folder) else InputError(error)
        self._look(taken, cell, folder, rows)
        value = (last_row(folder / "metrics.jsonl") or {}).get(EVALUATION)
        if value is None:  # a return that is no number is not in the log
            raise Ending(DIVERGED, f"{cell.name} was not evaluated at its end")
        rows.append((cell.key.env, value))

    def _look(self, taken: Taken, cell: Cell, folder: Path, before: list[Result]) -> None:
        """Use new evaluations in a run's log to decide whether the trial continues.

        The compared value is the mean score in which future runs count 0. At the same stage it covers the same runs in
        every trial.

        Raises:
            Ending: the pruner stops the trial.
        """
        log, key = folder / "metrics.jsonl", taken[:2]
        if key not in self.stages:  # a continued trial was judged by its first evaluations before
            self.stages[key] = self.journal.stage(*key)
        seen, last = self.stages[key], last_row(log)
        if self.search.pruner == "none" or last is None or self._stage(last[STEPS], before) <= seen:
            return
        for row in read_rows(log):
            stage = self._stage(row[STEPS], before)
            if row.get(EVALUATION) is not None and stage > seen:
                self.stages[key] = seen = stage
                scores = [
                    *(self._score(*one) for one in before),
                    self._score(cell.key.env, row[EVALUATION]),
                ]
                mean = sum(scores) / self.search.runs
                if self.journal.report(*key, stage, mean) and stage < self.search.runs * self.search.evaluations:
                    of = f"{stage} of {self.search.runs * self.search.evaluations} evaluations"
                    raise Ending(STOPPED, f"at {trials.decimals(mean)} after {of}")

    def _stage(self, steps: float, before: list[Result]) -> int:
        """The number of an evaluation in its trial; it does not depend on the length of rollouts."""
        most = self.search.evaluations
        here = most if steps >= self.search.budget else min(int(steps) // self.search.eval_every, most)
        return len(before) * most + here

    def _score(self, task: str, value: float) -> float:
        zero = self.zero[task]
        return (value - zero) / (self.search.reference[task] - zero)

    def _row(self, taken: Taken, rows: list[Result], state: str, why: str) -> TrialRow:
        arm, number, values, _ = taken
        returns, scores = Returns(), Returns()
        for env, value in rows:
            returns.setdefault(env, []).append(value)
            if self.zero:
                scores.setdefault(env, []).append(self._score(env, value))
        folders = [*self.journal.place(arm, number).iterdir()]
        logs = [last for folder in folders if (last := last_row(folder / "metrics.jsonl"))]
        manifests = [RunFolder(folder).manifest() for folder in folders if folder.is_dir()]
        return TrialRow(
            arm=arm,
            number=number,
            state=state,
            settings=values,
            returns=returns,
            scores=scores,
            values=sorted(self.journal.trials(arm)[number].intermediate_values.items()),
            steps=sum(int(last[STEPS]) for last in logs),
            seconds=round(sum(manifest.get("seconds") or 0.0 for manifest in manifests), 1),
            why=why,
            search=self.search.fingerprint(arm),
            defaults=self.search.defaults(arm),
            revision=functools.reduce(revisions.joined, (manifest.get("git") for manifest in manifests), None),
            optuna=metadata.version("optuna"),
            date=datetime.date.today().isoformat(),
        )

    def _report(self, row: TrialRow) -> None:
        """Print a line on a trial."""
        came = trials.decimals(row.score) if row.finished and row.scores else row.state + f": {row.why}" * bool(row.why)
        what = ", ".join(f"{name} {typed(value)}" for name, value in row.settings.items())
        left = self._left()
        rest = (time.monotonic() - self.began) / self.ended * left
        more = f"; {left} left, about {lasting(rest)}" if left else ""
        self.say(f"{row.arm}, trial {row.number}: {came} in {row.seconds:,.0f} s ({what}){more}")

    def _keep(self) -> list[TrialRow]:
        """Write the rows of the trials that have ended; rows that the journal does not have are kept."""
        with self.journal.turn():
            rows = self.journal.rows()
            made = {(row.arm, row.number) for row in rows}
            others = [
                row
                for row in trials.read(self.file)
                if (row.arm, row.number) not in made or not self.search.asks(row.arm, row.search)
            ]
            trials.write(self.file, [*others, *rows])
        return rows
