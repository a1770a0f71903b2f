"""A small sweep: four short runs of two arms on two tasks."""

import json

from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.executor import Ended, Executor, Local
from pgcontrol.sweep.row import Row
from pgcontrol.training import outcome
from pgcontrol.training.train import train

SWEEP = """
question: Does a second bin help?
budget: 512
episodes: 2
settings: {video: false, eval_every: 512, eval_episodes: 2, checkpoint_every: 256, num_envs: 4, rollout_steps: 32,
  algorithm.minibatch: 64, algorithm.epochs: 1, compile: "off"}
arms:
  gaussian: {head: gaussian}
  bins: {head: binned}
baseline: gaussian
plots: [train/std]
grid:
  - {env: Reacher-v5, arm: gaussian, seed: 2}
  - {env: InvertedPendulum-v5, arm: bins, seed: [7], head.bins: [2, 3]}
"""


def row_of(cell: Cell, **values) -> Row:
    """A row made by hand, as short as the oldest rows except for its scoring; values under their names in the file."""
    line = {"evaluation_seed": EVALUATION_SEED, "episodes": cell.episodes}
    line |= {"settings": cell.settings, "return": 1.0, "sampled": None, "training": None, "steps": 512, "seconds": 1.0}
    return Row.read(cell.key._asdict() | line | {"curves": {"steps": [512]}, "date": "2026-01-01"} | values)


def scored(folder: RunFolder, cell: Cell, value: float) -> None:
    """Stores the outcome of a run as if its final policy had been scored."""
    found = outcome.write(folder, 0) | {"return": value, "error": 0.5, "episodes": cell.episodes}
    folder.outcome_file.write_text(json.dumps(found))


class Unmeasured(Local):
    """Begins at once."""

    def expected(self, cells, say):
        return {}


class InProcess(Executor):
    """Makes the runs here, which saves a process."""

    def run(self, cells, where):
        for cell in cells:
            run = train(cell.settings | {"run_dir": str(where / cell.name), "score_episodes": cell.episodes})
            yield Ended(cell, run.path, "")


class Ready(Executor):
    """Finds every run finished and scored, with a return of 7.54; there is no policy."""

    def run(self, cells, where):
        for cell in cells:
            folder = RunFolder.create(configure(cell.settings | {"run_dir": str(where / cell.name)}))
            folder.write_manifest(status="finished", seconds=12.3)
            row = {"time/total_timesteps": 512, "rollout/ep_rew_mean": 7.54, "train/std": 0.5}
            folder.metrics_file.write_text(json.dumps(row) + "\n")
            scored(folder, cell, 7.54)
            yield Ended(cell, folder.path, "")


class Asked(Ready):
    """Records its arguments."""

    def __init__(self):
        self.cells = []

    def run(self, cells, where):
        self.cells += cells
        yield from super().run(cells, where)
