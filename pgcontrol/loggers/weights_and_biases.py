"""Weights & Biases. Its environment variables configure it: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline, ..."""

# an optional dependency
# pyright: reportMissingImports=false

import os
from collections.abc import Mapping

from pgcontrol.loggers.base import LoggedRun, Logger
from pgcontrol.options import InputError

X = "time/total_timesteps"


class WeightsAndBiases(Logger):
    """A run on wandb, in the project WANDB_PROJECT (default: `pgcontrol`)."""

    name = "wandb"
    needs = ("wandb",)

    @classmethod
    def require(cls) -> None:
        """Check that it is installed and, in online mode, that a user is logged in."""
        super().require()
        import wandb

        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
            raise InputError("logger 'wandb': not logged in; run `wandb login`, or set WANDB_MODE=offline")

    def __init__(self, run: LoggedRun):
        import wandb

        # without console capture: wandb must not handle the training's output
        quiet = wandb.Settings(silent=True, console="off")
        project, name = os.environ.get("WANDB_PROJECT", "pgcontrol"), run.folder.name
        self._run = wandb.init(
            project=project, name=name, dir=run.folder, config=run.settings, id=run.id, resume="allow", settings=quiet
        )
        self.id = self._run.id
        # wandb's own steps cannot go back to a checkpoint
        self._run.define_metric("*", step_metric=X)

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """Log one point per metric."""
        self._run.log({**row, X: steps})

    def close(self, failed: bool) -> None:
        """Send the remaining data."""
        self._run.finish(exit_code=int(failed))
