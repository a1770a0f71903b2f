"""The Gymnasium face of a VecEnv: gymnasium.vector.VectorEnv, with numpy in and out and autoreset on top."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from pgcontrol_envs.task import Task
from pgcontrol_envs.vector import TaskVecEnv

Array = np.ndarray


class GymVectorEnv(VectorEnv[Array, Array, Array]):
    """N copies of a task as Gymnasium's training loops want them.

    For equal seeds and actions it walks, bit for bit, the trajectories of Gymnasium's SyncVectorEnv of the same v5 env;
    rewards agree to 1e-9. Autoreset is NEXT_STEP: the step after an episode's last ignores that env's action, resets
    the env and returns reward 0. Infos hold the reward's terms, each with its `_` mask, and nothing else.

    Args:
        task: the task.
        num_envs: N.
        threads: threads for the physics; 0 for one per logical CPU. Results do not depend on it.
        render_mode: must be None: pgcontrol renders recorded states, elsewhere.
    """

    def __init__(self, task: Task, num_envs: int = 1, threads: int = 0, render_mode: str | None = None):
        if render_mode is not None:
            raise ValueError(f"{task.id}: expected render_mode None, got {render_mode!r}")
        self.num_envs, self.envs = num_envs, TaskVecEnv(task, num_envs, seed=None, threads=threads)
        self.metadata = {
            "render_modes": [],
            "render_fps": round(1 / task.dt),
            "autoreset_mode": AutoresetMode.NEXT_STEP,
        }
        low, high = task.action_low.numpy(), task.action_high.numpy()
        self.single_action_space = Box(low, high, dtype=np.float32)
        self.single_observation_space = Box(-np.inf, np.inf, (self.envs.obs_size,), np.float64)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._over = torch.zeros(num_envs, dtype=torch.bool)
        self._obs = torch.zeros(num_envs, self.envs.obs_size, dtype=torch.float64)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """New episodes in all envs, or in those of options["reset_mask"] (bool [N]); seeds as SyncVectorEnv takes them.

        Raises ValueError for a list of seeds or a mask that does not fit num_envs.
        """
        if seed is not None and not isinstance(seed, int) and len(seed) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} seeds, got {len(seed)}")
        mask = self._mask((options or {}).get("reset_mask"))
        self._obs = self._obs.clone()  # what was returned last is the caller's
        self._obs[mask] = self.envs.reset(mask, seed)
        self._over[mask] = False
        return self._obs.numpy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """One step: obs [N, O] float64, reward [N] float64, terminated [N], truncated [N], infos.

        Raises ValueError for actions of another shape than [N, A].
        """
        action = torch.from_numpy(_floats(actions))
        active = None
        if self._over.any():
            self.envs.reset(self._over)
            active = ~self._over
        self._obs, reward, terminated, truncated, terms = self.envs.step(action, active)
        self._over = terminated | truncated
        infos: dict[str, Any] = {}
        present = np.ones(self.num_envs, np.bool_) if active is None else active.numpy()
        for name, term in terms.items():
            infos[name], infos[f"_{name}"] = term.numpy(), present.copy()
        return self._obs.numpy(), reward.numpy(), terminated.numpy(), truncated.numpy(), infos

    def close_extras(self, **kwargs: Any) -> None:
        """Release the envs."""
        self.envs.close()

    def _mask(self, mask: Any) -> Tensor:
        if mask is None:
            return torch.ones(self.num_envs, dtype=torch.bool)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            found = f"{mask.dtype} {mask.shape}" + " without a True" * (mask.dtype == np.bool_ and not mask.any())
            raise ValueError(f"options['reset_mask']: expected bool ({self.num_envs},) with some True, got {found}")
        return torch.from_numpy(mask.copy())


def _floats(actions: Any) -> Array:
    """Actions as float32 or float64, whichever they are: Gymnasium computes control costs in the actions' precision."""
    actions = np.asarray(actions)
    return actions if actions.dtype in (np.float32, np.float64) else actions.astype(np.float64)
