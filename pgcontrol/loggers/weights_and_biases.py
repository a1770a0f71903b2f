"""Weights & Biases; its own variables say where to: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline, ..."""

# an extra, which need not be installed
# pyright: reportMissingImports=false

import os
from collections.abc import Mapping

from pgcontrol.loggers.base import LoggedRun, Logger
from pgcontrol.options import InputError

X = "time/total_timesteps"


class WeightsAndBiases(Logger):
    """A run on wandb, in the project `pgcontrol` unless WANDB_PROJECT says otherwise."""

    name = "wandb"
    needs = ("wandb",)

    @classmethod
    def require(cls) -> None:
        """Installed, and somebody logged in where the mode is online."""
        super().require()
        import wandb

        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
            raise InputError("logger 'wandb': nobody is logged in; say `wandb login`, or set WANDB_MODE=offline")

    def __init__(self, run: LoggedRun):
        import wandb

        # Ctrl-C is the training's to hear, and its output stays its own
        quiet = wandb.Settings(silent=True, console="off")
        project, name = os.environ.get("WANDB_PROJECT", "pgcontrol"), run.folder.name
        self._run = wandb.init(
            project=project, name=name, dir=run.folder, config=run.settings, id=run.id, resume="allow", settings=quiet
        )
        self.id = self._run.id
        # wandb's own steps cannot go back to a checkpoint
        self._run.define_metric("*", step_metric=X)

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """One point a metric."""
        self._run.log({**row, X: steps})

    def close(self, failed: bool) -> None:
        """Send what is left."""
        self._run.finish(exit_code=int(failed))
