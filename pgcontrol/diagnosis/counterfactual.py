"""What a policy would have become, had it been widened: branches of a run from one of its checkpoints.

Two arms, several seeds: in one the head is made as wide as it was at the start, the other is left alone; both go on
for the same steps under the same schedules. A branch is an ordinary run folder under RUN/branches, begun from a
checkpoint, so that it shows progress, resumes, and can be looked at like any run.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.collapse import Gain
from pgcontrol.measures.curves import RETURN, column, spreads
from pgcontrol.measures.statistics import probability_of_improvement, welch
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import flat, nested
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep.board import Board, follow
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.run_state import begun
from pgcontrol.sweep.sweep import Cell, Key
from pgcontrol.text import short
from pgcontrol.training.guard import LEAST_WIDTH, MOST_WIDTH
from pgcontrol.training.learner import Learner, stream_seeds

ARMS = ("widened", "alone")
LEAST = 2  # least number of branches in an arm that has an interval
EPISODES = 20  # least number in a branch's final evaluation


class Counterfactual(NamedTuple):
    """What the branches came to.

    Attributes:
        start: step of the checkpoint that they begin from.
        steps: length of each.
        width: spread that the widened ones began with, in half-ranges.
        scores: arm -> each branch's final return, the mean over episodes of its mode.
        folders: arm -> each branch's run folder.
    """

    start: int
    steps: int
    width: float
    scores: dict[str, list[float]]
    folders: dict[str, list[Path]]
    gain: Gain


class BranchPoint(NamedTuple):
    """Where branches are to begin, and how long they are to be.

    Attributes:
        step: they begin from the last checkpoint at or before it, or else the first after it.
        length: environment steps; None: what the run had left, and at least a quarter of its budget.
    """

    step: int
    length: int | None = None


class Branching(NamedTuple):
    """Where branches part from a run.

    Attributes:
        origin: the checkpoint.
        steps: length of each branch.
        width: spread of the widened ones, in half-ranges.
    """

    run: RunFolder
    origin: Path
    steps: int
    width: float

    @property
    def start(self) -> int:
        """Step of the checkpoint."""
        return checkpoint.steps_of(self.origin)

    @property
    def where(self) -> Path:
        """Folder of the run folders of its branches; those from another step have another."""
        return self.run.path / "branches" / f"from-{self.start}-for-{self.steps}-at-{self.width:.3g}"

    def cells(self, seeds: int) -> list[Cell]:
        """Both arms of each seed, in turns."""
        config, end = self.run.config(), self.start + self.steps
        common = flat(nested(config)) | {"total_steps": end, "video": False, "threads": 1, "logger": ()}
        common |= {"on_collapse": "off"}  # arms differ in nothing but how they begin
        common |= {"eval_every": 10 * end, "eval_episodes": max(EPISODES, config.eval_episodes)}  # once, at the end
        common.pop("run_dir")
        first = 1000 * (config.seed % 2**40 + 1)
        keys = [Key(config.env, arm, seed) for seed in range(seeds) for arm in ARMS]
        return [Cell(key, common | {"seed": first + key.seed}) for key in keys]


def counterfactual(
    run: RunFolder, place: BranchPoint, seeds: int, executor: Executor, console: Terminal, of: int = 1
) -> Counterfactual:
    """Run the branches that are missing, and compare the arms.

    Args:
        run: with a checkpoint at or before the place, or else after it.
        place: where they begin, and how long they are.
        seeds: branches in each arm, at least two.
        executor: what runs them.
        console: for progress.
        of: number of places that are tried, for the interval.

    Raises:
        InputError: no checkpoint to begin from, or branches failed.
    """
    branching = branching_of(run, place)
    cells, where = branching.cells(seeds), branching.where
    for cell in cells:
        if not begun(cell, where / cell.name):
            begin(cell, branching)
    missing = [cell for cell in cells if not _finished(where / cell.name)]
    late = f", after {place.step:,}: no checkpoint is older" if branching.start > place.step else ""
    told = f"{len(cells)} branches of {branching.steps:,} steps from step {branching.start:,}{late}"
    console.print(f"{told}, {len(missing)} to run", markup=False)
    pace = float(run.manifest().get("seconds", 0.0)) / max(int(run.manifest().get("steps", 0)), 1)
    board = Board(missing, where, {cell.key: pace * branching.steps for cell in missing if pace}, executor.jobs)
    with closing(follow(executor, board, console)) as outcomes:
        for outcome in outcomes:
            if outcome.error and not _finished(outcome.folder):
                raise InputError(f"branch {outcome.folder} failed: {outcome.error}; the same command tries it again")
            board.ended[outcome.cell.key] = None
            console.print(f"{outcome.cell.name}: return {short(final(outcome.folder))}", markup=False)
    return measured(branching, seeds, of)


def finished(run: RunFolder, place: BranchPoint, of: int = 1) -> Counterfactual | None:
    """What earlier branches from this place came to; None: there are no two finished pairs."""
    if not checkpoint.find(run.path):
        return None
    branching, seeds = branching_of(run, place), 0
    while all(_finished(branching.where / cell.name) for cell in branching.cells(seeds + 1)[-2:]):
        seeds += 1
    return measured(branching, seeds, of) if seeds >= LEAST else None


def branching_of(run: RunFolder, place: BranchPoint) -> Branching:
    """Where the branches of a place part.

    Raises:
        InputError: no checkpoint to begin from.
    """
    config, origin = run.config(), nearest(checkpoint.find(run.path), place.step)
    start = spreads(read_rows(run.metrics_file))[1][0].mean()
    rest = config.total_steps - checkpoint.steps_of(origin)
    width = float(np.clip(start, LEAST_WIDTH, MOST_WIDTH))
    return Branching(run, origin, place.length or max(rest, config.total_steps // 4), float(f"{width:.3g}"))


def measured(branching: Branching, seeds: int, of: int = 1) -> Counterfactual:
    """The arms of finished branches, compared: difference of means with Welch's interval, and P(better).

    See `counterfactual` for `of`.
    """
    cells = branching.cells(seeds)
    folders = {arm: [branching.where / cell.name for cell in cells if cell.key.arm == arm] for arm in ARMS}
    scores = {arm: [final(folder) for folder in of_arm] for arm, of_arm in folders.items()}
    widened, alone = (float(np.mean([climb(folder) for folder in of_arm])) for of_arm in folders.values())
    ours, theirs = (np.array(scores[arm]) for arm in ARMS)
    better = probability_of_improvement([(scores["widened"], scores["alone"])])
    returns = column(read_rows(branching.run.metrics_file), RETURN)[1]
    scale = float(np.ptp(np.concatenate((returns, ours, theirs))))
    ahead = float(ours.mean() - theirs.mean())
    gain = Gain(ahead, welch(ours, theirs, of), better, seeds, scale, widened - alone, branching.start)
    return Counterfactual(branching.start, branching.steps, branching.width, scores, folders, gain)


def nearest(found: Sequence[Path], step: int) -> Path:
    """The last checkpoint at or before a step, or else the first after it.

    Raises:
        InputError: there is none.
    """
    if not found:
        raise InputError("the run has no checkpoint to branch from")
    return [*found[:1], *(f for f in found if checkpoint.steps_of(f) <= step)][-1]


def begin(cell: Cell, branching: Branching) -> None:
    """Make a branch's run folder, its first checkpoint the origin's with random streams anew, and widened if asked."""
    folder = branching.where / cell.name
    shutil.rmtree(folder, ignore_errors=True)
    config = dataclasses.replace(cell.config, run_dir=str(folder))
    learner = Learner(config, branching.run.manifest().get("compiled"), fresh=False)
    learner.load(branching.origin)
    reseed(learner, config.seed)
    width = branching.width if cell.key.arm == "widened" else None
    if width is not None:
        learner.widen(width)
    made, compiled = RunFolder.create(config), learner.compilation.on
    made.write_manifest(branch_of=str(branching.origin), widened=width, compiled=compiled, status="stopped")
    learner.save(made.checkpoint(learner.steps))
    learner.close()


def reseed(learner: Learner, seed: int) -> None:
    """New random streams, and new episodes from them; weights, optimiser and normaliser stay."""
    seeds = stream_seeds(seed)
    for name in ("sampling", "minibatches", "adapting"):
        getattr(learner, name).manual_seed(seeds[name])
    learner.env.reset(seed=seeds["environments"])
    learner.collector.restart()


def final(folder: Path) -> float:
    """A branch's score: its final evaluation's mean return by mode, or the last in training where there was none."""
    last = read_rows(folder / "metrics.jsonl")[-1]
    return float(last.get("eval/mean_reward", last.get(RETURN, np.nan)))


def climb(folder: Path) -> float:
    """What the return in training gained from the last but one tenth of a branch to the last."""
    steps, returns = column(read_rows(folder / "metrics.jsonl"), RETURN)
    parts = np.array_split(returns, 10) if len(steps) >= 20 else [np.zeros(1)]
    return float(parts[-1].mean() - parts[-2].mean()) if len(parts) > 1 else 0.0


def _finished(folder: Path) -> bool:
    return RunFolder(folder).manifest().get("status") in ("finished", "diverged")
