"""What a policy would have become with a larger spread: branches of a run from one of its checkpoints.

There are two arms with several seeds each. In one, the head is made as wide as it was at the start; the other is not
changed. Both continue for the same number of steps with the same schedules. A branch is an ordinary run folder under
RUN/branches that begins from a checkpoint, so it shows progress, can be resumed, and can be examined like any run.
"""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.collapse import Gain
from pgcontrol.measures.curves import RETURN, LogRows, column, spreads
from pgcontrol.measures.statistics import probability_of_improvement, welch
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import flat, nested
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep.board import Board, follow
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.run_state import begun
from pgcontrol.text import lasting, short
from pgcontrol.training.guard import LEAST_WIDTH, MOST_WIDTH
from pgcontrol.training.learner import Learner, stream_seeds

ARMS = ("widened", "alone")
LEAST = 2  # smallest number of branches per arm for which there is an interval
NARROWER = 0.9  # a policy can be widened if its spread is below this fraction of the new width
EPISODES = 20  # smallest number of episodes in a branch's final evaluation


class Counterfactual(NamedTuple):
    """The results of branches.

    Attributes:
        start: step of the checkpoint from which they begin.
        steps: length of each branch.
        width: initial spread of the widened branches, in half-ranges.
        scores: arm -> final return of each branch, the mean over episodes played by the mode.
        folders: arm -> run folder of each branch.
    """

    start: int
    steps: int
    width: float
    scores: dict[str, list[float]]
    folders: dict[str, list[Path]]
    gain: Gain


class BranchPoint(NamedTuple):
    """Where branches should begin, and their length.

    Attributes:
        step: they begin from the last checkpoint at or before it, or else from the first one after it.
        length: environment steps; None: the rest of the run, but at least a quarter of its budget.
    """

    step: int
    length: int | None = None


class Branching(NamedTuple):
    """How branches begin from a run.

    Attributes:
        origin: the checkpoint.
        steps: length of each branch.
        width: spread of the widened branches, in half-ranges.
        had: last spread that was measured at or before the checkpoint, the mean over joints.
    """

    run: RunFolder
    origin: Path
    steps: int
    width: float
    had: float

    @property
    def start(self) -> int:
        """Step of the checkpoint."""
        return checkpoint.steps_of(self.origin)

    @property
    def narrow(self) -> bool:
        """Whether the policy can be widened there. Otherwise both arms would be the same policy, and prove nothing."""
        return can_widen(self.width, self.had)

    @property
    def where(self) -> Path:
        """Folder of its branches' run folders; it depends on start, length and width."""
        return self.run.path / "branches" / f"from-{self.start}-for-{self.steps}-at-{self.width:.3g}"

    def cells(self, seeds: int) -> list[Cell]:
        """The cells of both arms for each seed, alternating."""
        config, end = self.run.config(), self.start + self.steps
        common = flat(nested(config)) | {"total_steps": end, "video": False, "threads": 1, "logger": ()}
        common |= {"on_collapse": "off"}  # arms must only differ at their start
        common |= {"eval_every": 10 * end, "eval_episodes": max(EPISODES, config.eval_episodes)}  # only at the end
        common.pop("run_dir")
        first = 1000 * (config.seed % 2**40 + 1)
        keys = [Key(config.env, arm, seed) for seed in range(seeds) for arm in ARMS]
        return [Cell(key, common | {"seed": first + key.seed}) for key in keys]


def counterfactual(
    run: RunFolder, place: BranchPoint, seeds: int, executor: Executor, console: Terminal, of: int = 1
) -> Counterfactual:
    """Run the branches that do not exist yet, and compare the arms.

    Args:
        run: has a checkpoint at or before the place, or else after it.
        place: where the branches begin, and their length.
        seeds: branches per arm, at least two.
        executor: runs the branches.
        console: for progress.
        of: number of places that are tried; the interval is corrected for it.

    Raises:
        InputError: there is no checkpoint to begin from, or a branch failed.
    """
    branching = branching_of(run, place)
    cells, where = branching.cells(seeds), branching.where
    for cell in cells:
        if not begun(cell, where / cell.name):
            begin(cell, branching)
    missing = [cell for cell in cells if not _finished(where / cell.name)]
    late = f", the first checkpoint after {place.step:,}" if branching.start > place.step else ""
    line = f"{len(cells)} branches of {branching.steps:,} steps from step {branching.start:,}{late}"
    line += f", {len(missing)} to run"
    pace = float(run.manifest().get("seconds", 0.0)) / max(int(run.manifest().get("steps", 0)), 1)
    board = Board(missing, where, {cell.key: pace * branching.steps for cell in missing if pace}, executor.jobs)
    if left := board.left({}):
        line += f", about {lasting(left)}"
    places = f"; until one place decides, up to {of} are tried" if of > 1 else ""
    console.print(f"{line}{places}")
    with closing(follow(executor, board, console)) as outcomes:
        for outcome in outcomes:
            if outcome.error and not _finished(outcome.folder):
                raise InputError(f"branch {outcome.folder} failed: {outcome.error}; run the same command to try again")
            board.ended[outcome.cell.key] = None
            console.print(f"{outcome.cell.name}: return {short(final(outcome.folder))}")
    return measured(branching, seeds, of)


def earlier(run: RunFolder) -> list[BranchPoint]:
    """The places of the branches that the run already has."""
    names = (folder.name.split("-") for folder in (run.path / "branches").glob("from-*-for-*-at-*"))
    return sorted({BranchPoint(int(n[1]), int(n[3])) for n in names if n[1].isdigit() and n[3].isdigit()})


def finished(run: RunFolder, place: BranchPoint, of: int = 1) -> Counterfactual | None:
    """The results of earlier branches from this place; None: there are fewer than two finished pairs."""
    if not checkpoint.find(run.path):
        return None
    branching, seeds = branching_of(run, place), 0
    while all(_finished(branching.where / cell.name) for cell in branching.cells(seeds + 1)[-2:]):
        seeds += 1
    return measured(branching, seeds, of) if seeds >= LEAST else None


def branching_of(run: RunFolder, place: BranchPoint) -> Branching:
    """How the branches of a place begin.

    Raises:
        InputError: there is no checkpoint to begin from.
    """
    config, origin = run.config(), nearest(checkpoint.find(run.path), place.step)
    width, had = widths(read_rows(run.metrics_file), began := checkpoint.steps_of(origin))
    length = place.length or max(config.total_steps - began, config.total_steps // 4)
    return Branching(run, origin, length, float(f"{width:.3g}"), had)


def widths(rows: LogRows, step: int) -> tuple[float, float]:
    """The width of widened branches, and the policy's spread at a step, both in half-ranges, means over joints."""
    steps, each = spreads(rows)
    spread = each.mean(1)
    return float(np.clip(spread[0], LEAST_WIDTH, MOST_WIDTH)), float(spread[steps <= max(step, steps[0])][-1])


def can_widen(width: float, had: float) -> bool:
    """Whether a policy is narrow enough that widening changes it; takes the result of `widths`."""
    return had < NARROWER * width


def measured(branching: Branching, seeds: int, of: int = 1) -> Counterfactual:
    """Compare the arms of finished branches: difference of means with Welch's interval, and P(better).

    See `counterfactual` for `of`.
    """
    cells = branching.cells(seeds)
    folders = {arm: [branching.where / cell.name for cell in cells if cell.key.arm == arm] for arm in ARMS}
    scores = scores_of(folders)
    widened, alone = (float(np.mean([climb(folder) for folder in of_arm])) for of_arm in folders.values())
    ours, theirs = (np.array(scores[arm]) for arm in ARMS)
    better = probability_of_improvement([(scores["widened"], scores["alone"])])
    returns = column(read_rows(branching.run.metrics_file), RETURN)[1]
    scale = float(np.ptp(np.concatenate((returns, ours, theirs))))
    ahead = float(ours.mean() - theirs.mean())
    gain = Gain(ahead, welch(ours, theirs, of), better, seeds, scale, widened - alone, branching.start)
    return Counterfactual(branching.start, branching.steps, branching.width, scores, folders, gain)


def scores_of(folders: Mapping[str, Sequence[Path]]) -> dict[str, list[float]]:
    """The scores of the branches of each arm; a branch that diverged counts as the worst of all."""
    scores = {arm: [final(folder) for folder in of_arm] for arm, of_arm in folders.items()}
    known = [score for ends in scores.values() for score in ends if np.isfinite(score)]
    worst = min(known, default=float("nan"))
    return {
        arm: [worst if _diverged(folder) else score for folder, score in zip(folders[arm], ends, strict=True)]
        for arm, ends in scores.items()
    }


def nearest(found: Sequence[Path], step: int) -> Path:
    """The last checkpoint at or before a step, or else the first one after it.

    Raises:
        InputError: there is none.
    """
    _require(found)
    return [*found[:1], *(f for f in found if checkpoint.steps_of(f) <= step)][-1]


def closest(found: Sequence[Path], step: int) -> Path:
    """The checkpoint that is closest to a step, before or after it.

    Raises:
        InputError: there is none.
    """
    _require(found)
    return min(found, key=lambda path: abs(checkpoint.steps_of(path) - step))


def _require(found: Sequence[Path]) -> None:
    if not found:
        raise InputError("the run has no checkpoint from which branches could begin")


def begin(cell: Cell, branching: Branching) -> None:
    """Create a branch's run folder with the origin as its first checkpoint, with new random streams, and widened."""
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
    """Use new random streams, and start new episodes from them; weights, optimiser and normaliser do not change."""
    seeds = stream_seeds(seed)
    for name in ("sampling", "minibatches", "adapting"):
        getattr(learner, name).manual_seed(seeds[name])
    learner.env.reset(seed=seeds["environments"])
    learner.collector.restart()


def final(folder: Path) -> float:
    """A branch's score: mean return of its final evaluation by the mode, or else the last return in training.

    NaN if it diverged before it had one.
    """
    last = [{}, *read_rows(folder / "metrics.jsonl")][-1]
    return float(last.get("eval/mean_reward", last.get(RETURN, np.nan)))


def climb(folder: Path) -> float:
    """The increase of the training return from the second-last to the last tenth of a branch."""
    steps, returns = column(read_rows(folder / "metrics.jsonl"), RETURN)
    parts = np.array_split(returns, 10) if len(steps) >= 20 else [np.zeros(1)]
    return float(parts[-1].mean() - parts[-2].mean()) if len(parts) > 1 else 0.0


def _diverged(folder: Path) -> bool:
    return RunFolder(folder).manifest().get("status") == "diverged"


def _finished(folder: Path) -> bool:
    return RunFolder(folder).manifest().get("status") in ("finished", "diverged")
