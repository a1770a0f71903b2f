"""`pgcontrol.train`, `pgcontrol.resume` and `pgcontrol.clone`, as Python calls them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgcontrol.runs.cloning import CloneConfig, configure_clone
from pgcontrol.runs.config import Config, configure
from pgcontrol.training import clone as fitting
from pgcontrol.training import train as loop
from pgcontrol.training.train import Run


def train(config: Config | Mapping[str, Any], *, quiet: bool = True) -> Run:
    """Train a policy from scratch.

    Args:
        config: a Config, or dotted settings such as `{"env": "Hopper-v5", "head": "binned", "head.bins": 41}`.
        quiet: show no progress.

    Raises:
        InputError: a setting is wrong, or the run folder exists.
    """
    return loop.train(config if isinstance(config, Config) else configure(config), quiet=quiet)


def resume(run_dir: str | Path, total_steps: int | None = None, *, quiet: bool = True) -> Run:
    """Go on with a run from its newest checkpoint, as if it had never stopped.

    Args:
        run_dir: the run folder.
        total_steps: a new budget in environment steps.
        quiet: show no progress.

    Raises:
        InputError: no run there, a damaged checkpoint, or a run that has finished.
    """
    return loop.resume(Path(run_dir), total_steps, quiet=quiet)


def clone(config: CloneConfig | Mapping[str, Any], *, quiet: bool = True) -> Run:
    """Fit a policy to a dataset.

    Args:
        config: a CloneConfig, or dotted settings such as `{"dataset": "demos", "head": "binned", "head.bins": 41}`.
        quiet: show no progress.

    Raises:
        InputError: a setting is wrong, the dataset does not fit, or the run folder exists.
    """
    return fitting.clone(config if isinstance(config, CloneConfig) else configure_clone(config), quiet=quiet)
