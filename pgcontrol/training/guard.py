"""The action of a training when a σ collapse is suspected: warn, widen the policy, or stop."""

from typing import Any

import numpy as np

from pgcontrol.measures.collapse import collapse
from pgcontrol.measures.curves import RETURN, SPREAD, STEPS, spreads
from pgcontrol.measures.verdicts import SUSPECTED, Limits
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.training.driver import Driver
from pgcontrol.training.learner import Learner

MOST = 3  # largest number of times that a run is widened
APART = 0.1  # smallest distance between two of them, as a fraction of the budget
LAST = 0.8  # fraction of the budget after which a policy is not widened, because too little training is left
RETURNS = 20  # rows with a return before the log is judged
# range of the new width, in half-ranges; within it, the policy gets the width of the beginning of the run
LEAST_WIDTH, MOST_WIDTH = 0.3, 0.5


class CollapseGuard:
    """Judges the log after each measurement of the spread, and acts if the verdict is *suspected*.

    The manifest lists its actions as `on_collapse`, so that a resumed run is the same as an uninterrupted one.
    """

    def __init__(self, learner: Learner, driver: Driver, folder: RunFolder):
        """Read the earlier actions of the run. `driver` computes the updates of `learner`."""
        self.learner, self.driver, self.folder, self.action = learner, driver, folder, learner.config.on_collapse
        noted = folder.manifest().get("on_collapse", [])
        self.done = [act for act in noted if act["step"] <= learner.steps]
        if self.done != noted:  # the run was killed after its last checkpoint
            folder.write_manifest(on_collapse=self.done)
        logged = read_rows(folder.metrics_file) if self.action != "off" and folder.metrics_file.exists() else []
        self.rows = [row for row in logged if row[STEPS] <= learner.steps]

    @property
    def since(self) -> int:
        """The step of the last action; spreads before it are not judged."""
        return self.done[-1]["step"] if self.done else -1

    def _judged(self) -> list[dict[str, Any]]:
        """The rows, without the spreads up to the last action. Earlier returns show whether the task was solved."""

        def bare(row: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in row.items() if not name.startswith(SPREAD)}

        return [row if row[STEPS] > self.since else bare(row) for row in self.rows]

    def __call__(self, row: dict[str, Any]) -> bool:
        """Check an update's row before it is logged. Returns whether to stop the training."""
        if self.action == "off":
            return False
        self.rows.append({STEPS: self.learner.steps} | row)
        if f"{SPREAD}0" not in row or not self._may_act():
            return False
        if sum(RETURN in row for row in self.rows if row[STEPS] > self.since) < RETURNS:
            return False
        verdict = collapse(self._judged(), self.learner.config.total_steps, Limits())
        return verdict.word == SUSPECTED and self._act(row, verdict.why)

    def _may_act(self) -> bool:
        budget, steps = self.learner.config.total_steps, self.learner.steps
        if self.action != "widen":
            return not self.done
        rested = not self.done or steps - self.since >= APART * budget
        return rested and len(self.done) < MOST and steps < LAST * budget

    def _act(self, row: dict[str, Any], why: str) -> bool:
        width, what = None, self.action
        if self.action == "widen":
            width = float(np.clip(spreads(self.rows)[1][0].mean(), LEAST_WIDTH, MOST_WIDTH))
            self.driver.widen(width)
            row["health/widened"] = width
            what = f"widened to {width:.2g} half-ranges"
        self.done.append({"step": self.learner.steps, "action": self.action, "width": width, "why": why})
        self.folder.write_manifest(on_collapse=self.done)
        self.learner.remarks.append(f"step {self.learner.steps:,}: suspected σ collapse ({why}): {what}")
        return self.action == "stop"
