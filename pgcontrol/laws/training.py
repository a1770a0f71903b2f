"""The law for all parts of a run: a training with the part succeeds and leaves a checkpoint that plays."""

import dataclasses
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgcontrol.laws.base import require
from pgcontrol.runs.config import configure
from pgcontrol.training.train import train

SMALL = {"env": "Hopper-v5", "video": False, "threads": 1, "compile": "off", "eval_episodes": 1}


def check(settings: Mapping[str, Any], updates: int) -> None:
    """Train from dotted settings for a few updates, in a temporary folder.

    Raises:
        Broken: the training succeeded, but left something wrong.
        Exception: the training failed; anything that a part raises.
    """
    config = configure(SMALL | dict(settings))
    steps = updates * config.num_envs * config.rollout_steps
    with tempfile.TemporaryDirectory() as parent, warnings.catch_warnings():
        warnings.filterwarnings("error", "logger .* failed")  # a training would continue without it
        folder = str(Path(parent) / "run")
        run = train(dataclasses.replace(config, total_steps=steps, checkpoint_every=steps, run_dir=folder))
        if run.status != "finished":
            raise KeyboardInterrupt  # `train` treats it as a stop that can be resumed
        for row in run.metrics():
            lost = row["rollout/quarantined"]
            require(not lost, f"training: {lost} samples had infinite or NaN rewards or observations")
            wrong = [name for name, value in row.items() if value is None and name.startswith("head/")]
            require(not wrong, f"training: {', '.join(wrong)} not finite after {row['time/total_timesteps']} steps")
        policy = run.policy()
        action = policy.predict(np.zeros((2, policy.obs_size)), deterministic=True)
        require(torch.as_tensor(action).isfinite().all(), "training: the trained policy's action is not finite")
