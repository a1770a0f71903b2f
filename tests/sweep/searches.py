"""A small sweep with a search, and an executor that answers at once."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep import searching, trials
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.executor import Ended, Executor
from pgcontrol.sweep.search import Search
from pgcontrol.sweep.sweep import Sweep, read_sweep
from tests.sweep.worlds import scored

RATE = "algorithm.learning_rate"
SEARCH = """
question: Does a second bin help?
budget: 512
episodes: 2
settings: {video: false, eval_every: 512, eval_episodes: 2, num_envs: 4, rollout_steps: 32, algorithm.minibatch: 64,
  algorithm.epochs: 1, compile: "off"}
arms:
  gaussian: {head: gaussian}
  bins: {head: binned}
grid: {env: Reacher-v5, seed: 1}
search:
  space:
    algorithm.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
    head.bins: [5, 7]
  trials: 4
  budget: 512
  tasks: [InvertedPendulum-v5]
  seeds: [100, 101]
  reference: {InvertedPendulum-v5: 1000}
"""
GRID = {RATE: [1e-4, 3e-4, 1e-3, 3e-3], "head.bins": {"choices": [5], "arms": ["bins"]}}


def written(folder: Path, text: str = SEARCH) -> Sweep:
    (folder / "s.yaml").write_text(text)
    return read_sweep(folder / "s.yaml")


def search_of(sweep: Sweep) -> Search:
    assert sweep.search is not None
    return sweep.search


class Scripted(Executor):
    """Every run is better the nearer its step size is to 1e-3; it evaluates four times, and is looked at in between.

    Attributes:
        made: the runs that came to their end, by name of trial and run.
        stopped: those that the caller left.
    """

    def __init__(self, jobs: int = 1):
        self.jobs, self.made, self.stopped = jobs, list[str](), list[str]()

    def value(self, cell: Cell) -> float:
        """Its final return."""
        return 900 - 400 * abs(math.log10(cell.config.algorithm.options.learning_rate) + 3) + cell.key.seed - 100

    def run(self, cells: Sequence[Cell], where: Path):
        for cell in cells:
            folder = RunFolder.create(configure(cell.settings | {"run_dir": str(where / cell.name)}))
            try:
                for part in range(1, 5):
                    row = {"time/total_timesteps": 128 * part, "rollout/ep_rew_mean": 1.0}
                    row |= {"eval/mean_reward": self.value(cell) * part / 4}
                    with folder.metrics_file.open("a") as log:
                        log.write(json.dumps(row) + "\n")
                    yield frozenset({cell.key})
            except GeneratorExit:
                self.stopped.append(f"{where.name}/{cell.name}")
                raise
            folder.write_manifest(status="finished", seconds=2.0)
            scored(folder, cell, self.value(cell))
            self.made.append(f"{where.name}/{cell.name}")
            yield Ended(cell, folder.path, "")


class TwoTasks(Scripted):
    """On Reacher a larger step is better, and from another return."""

    def value(self, cell: Cell) -> float:
        step = math.log10(cell.config.algorithm.options.learning_rate)
        return 10.0 + 2 * step if cell.config.env == "Reacher-v5" else super().value(cell)


def text(**values) -> str:
    """The sweep with other values in its search."""
    tree = yaml.safe_load(SEARCH)
    tree["search"] |= values
    return yaml.safe_dump(tree, sort_keys=False)


def two_tasks(**values) -> dict:
    """The sweep on two tasks."""
    tree = yaml.safe_load(text(**values))
    tree["grid"]["env"] = tree["search"]["tasks"] = tasks = ["InvertedPendulum-v5", "Reacher-v5"]
    tree["search"]["reference"] = dict(zip(tasks, (1000, -4), strict=True))
    return tree


def search(sweep, executor: Executor, said: list[str] | None = None) -> bool:
    return searching.search(sweep, executor, sweep.path.parent / "search", (said if said is not None else []).append)


def rows(sweep) -> list[trials.TrialRow]:
    return trials.read(trials.file_of(sweep.path))
