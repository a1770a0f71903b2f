"""A small sweep: four short runs of two arms on two tasks."""

import json

from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep.executor import Ended, Executor, Local
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Cell

SWEEP = """
question: Does a second bin help?
budget: 512
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
    """A row by hand, as short as rows have ever been; values under their names in the file."""
    line = {"settings": cell.settings, "return": 1.0, "sampled": None, "training": None, "steps": 512, "seconds": 1.0}
    return Row.read(cell.key._asdict() | line | {"curves": {"steps": [512]}, "date": "2026-01-01"} | values)


class Unmeasured(Local):
    """Begins at once."""

    def expected(self, cells):
        return {}


class Ready(Executor):
    """Finds every run finished, with a return of 7.54."""

    def run(self, cells, where):
        for cell in cells:
            folder = RunFolder.create(configure(cell.settings | {"run_dir": str(where / cell.name)}))
            folder.write_manifest(status="finished", seconds=12.3)
            row = {"time/total_timesteps": 512, "rollout/ep_rew_mean": 7.54, "train/std": 0.5}
            folder.metrics_file.write_text(json.dumps(row) + "\n")
            yield Ended(cell, folder.path, "")


class Asked(Ready):
    """Remembers what it was asked for."""

    def __init__(self):
        self.cells = []

    def run(self, cells, where):
        self.cells += cells
        yield from super().run(cells, where)
