"""Any Gymnasium env with Box spaces as a VecEnv."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.gym_copies import Copies
from pgcontrol_envs.gym_workers import WorkerCopies
from pgcontrol_envs.vector import Ids, Seed, Step, as_ids, as_seeds, require_state_of


class GymnasiumVecEnv:
    """A VecEnv of N copies of a Gymnasium env, in this process or in worker processes; see gym_copies.py.

    A Gymnasium env cannot save its state, so `load_state` restores its random stream and starts new episodes.

    Attributes:
        model: the envs' mujoco.MjModel; None for envs of another simulator.

    Raises:
        ValueError: see Copies.
    """

    task, device = None, torch.device("cpu")
    exact_resume, privileged = False, 0

    def __init__(self, env_id: str, num_envs: int, seed: int | None = 0, workers: int = 0):
        self.env_id, self.num_envs = env_id, num_envs
        self._copies = WorkerCopies(env_id, num_envs, workers) if workers else Copies(env_id, num_envs)
        about = self._copies.about
        usual = (len(about.shapes.obs), len(about.shapes.action), about.shapes.whole) == (1, 1, False)
        self.shapes, self.obs_size = None if usual else about.shapes, math.prod(about.shapes.obs)
        self.action_low, self.action_high = torch.from_numpy(about.low), torch.from_numpy(about.high)
        self.control_dt, self.time_limit, self.model = about.control_dt, about.time_limit, about.model
        self._seeds = as_seeds(seed, num_envs)
        self._began = list(self._seeds)  # used for streams that cannot be restored
        self._warned = False
        self._everyone = list(range(num_envs))

    def reset(self, ids: Ids | None = None, seed: Seed | None = None) -> Tensor:
        """Start new episodes; see VecEnv.reset."""
        if seed is not None:
            self._seeds = as_seeds(seed, self.num_envs)
        chosen = as_ids(ids, self.num_envs).tolist()
        obs = self._copies.reset(chosen, [self._seeds[i] for i in chosen])
        for i in chosen:
            self._seeds[i] = None  # later episodes continue the stream that the seed started
        return torch.from_numpy(obs)

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """Step all envs, or those in the mask `active`; see VecEnv.step. Raises ValueError for a wrong action shape."""
        if action.shape != (expected := (self.num_envs, len(self.action_low))):
            raise ValueError(f"{self.env_id}: expected actions of shape {expected}, got {tuple(action.shape)}")
        ids = self._everyone if active is None else as_ids(active, self.num_envs).tolist()
        *arrays, terms = self._copies.step(action.numpy(), ids)
        tensors = (torch.from_numpy(array) for array in arrays)
        return Step(*tensors, terms={name: torch.from_numpy(term) for name, term in terms.items()})

    def qpos(self, i: int) -> np.ndarray | None:
        """A copy of env i's generalised positions if it is a MuJoCo env, else None."""
        return None if self.model is None else self._copies.qpos(i)

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Empty: each copy of a Gymnasium environment has its own model."""
        return {}

    def before(self, i: int) -> None:
        """Nothing: a Gymnasium environment cannot be put into a state."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The states of the random streams, None for a stream that cannot be saved. Episodes are not saved."""
        streams = self._copies.streams()
        if None in streams and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.env_id}: its random streams cannot be saved; a resumed run starts them again", stacklevel=2
            )
        return {}, {"env": self.env_id, "streams": streams}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Restore the random streams and start new episodes. A stream that cannot be restored starts from its seed.

        Raises ValueError if the state belongs to other envs.
        """
        require_state_of(self, extra)
        self.reset(seed=self._began)  # an env may create its random generator at the first seeded reset
        restored = self._copies.set_streams(extra["streams"])
        self._seeds = [None if done else seed for done, seed in zip(restored, self._began, strict=True)]
        self.reset()

    def copy(self, source: Ids, target: Ids) -> None:
        """Raises ValueError: a Gymnasium env cannot copy its state."""
        raise ValueError(f"{self.env_id}: the state of Gymnasium envs cannot be copied")

    def close(self) -> None:
        self._copies.close()
