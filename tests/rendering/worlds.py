"""Recordings made by hand: no physics is stepped, no policy trained."""

from pathlib import Path

import numpy as np
from pgcontrol_envs.tasks import catalog

from pgcontrol.rendering.recording import Recording


def travelling(env_id: str = "HalfCheetah-v5", steps: int = 12, distance: float = 60.0, **labels) -> Recording:
    """A body that slides along x without moving a joint, one reward a step."""
    task = catalog()[env_id]()
    qpos = np.tile(task.model.qpos0, (steps + 1, 1))
    qpos[:, 0] += np.linspace(0, distance, steps + 1)
    labels = {"head": "gaussian", "algorithm": "ppo", "step": 300_000, "run": "first"} | labels
    return Recording(env_id, 0, task.dt, np.ones(steps), qpos, **labels)


def saved(recording: Recording, folder: Path, name: str = "one.npz") -> Path:
    recording.save(folder / name)
    return folder / name
