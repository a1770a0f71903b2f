"""The Gymnasium face of a VecEnv: gymnasium.vector.VectorEnv, with numpy in and out and autoreset on top."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pgcontrol_envs.task import Task
from pgcontrol_envs.tasks import catalog
from pgcontrol_envs.vector import TaskVecEnv

Array = np.ndarray


class GymVectorEnv(VectorEnv[Array, Array, Array]):
    """N copies of a task as Gymnasium's training loops want them.

    For equal seeds and actions it walks, bit for bit, the trajectories of Gymnasium's SyncVectorEnv of the same v5 env;
    rewards agree to 1e-9. Autoreset is NEXT_STEP: the step after an episode's last ignores that env's action, resets
    the env and returns reward 0. Infos hold the reward's terms, each with its `_` mask, and nothing else.

    Args:
        task: a task's id, such as "HalfCheetah-v5".
        num_envs: N.
        threads: threads for the physics; 0 for one per logical CPU. Results do not depend on it.
        max_episode_steps: a time limit other than the task's.
        render_mode: must be None: pgcontrol renders recorded states, elsewhere.
    """

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        threads: int = 0,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ):
        if render_mode is not None:
            raise ValueError(f"pgcontrol/{task}: expected render_mode None, got {render_mode!r}")
        self.num_envs = num_envs
        self.envs = TaskVecEnv(catalog()[task], num_envs, None, threads, max_episode_steps)
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.metadata["render_fps"] = round(1 / self.envs.control_dt)
        low, high = self.envs.action_low.numpy(), self.envs.action_high.numpy()
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
        mask = np.array((options or {}).get("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            found = f"{mask.dtype} {mask.shape}" + " without a True" * (mask.dtype == np.bool_ and not mask.any())
            raise ValueError(f"options['reset_mask']: expected bool ({self.num_envs},) with some True, got {found}")
        self._obs = self._obs.clone()  # what was returned last is the caller's
        self._obs[mask] = self.envs.reset(mask, seed)
        self._over[mask] = False
        return self._obs.numpy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """One step: obs [N, O] float64, reward [N] float64, terminated [N], truncated [N], infos.

        Raises ValueError for actions of another shape than [N, A].
        """
        action, active = torch.from_numpy(_floats(actions)), ~self._over
        everyone = bool(active.all())
        if not everyone:
            self.envs.reset(self._over)
        self._obs, reward, terminated, truncated, terms = self.envs.step(action, None if everyone else active)
        self._over = terminated | truncated
        infos: dict[str, Any] = {}
        if active.any():
            for name, term in terms.items():
                infos[name], infos[f"_{name}"] = term.numpy(), active.numpy().copy()
        return self._obs.numpy(), reward.numpy(), terminated.numpy(), truncated.numpy(), infos

    def close_extras(self, **kwargs: Any) -> None:
        """Release the envs."""
        self.envs.close()


class GymEnv(gymnasium.Env[Array, Array]):
    """One copy of a task as gymnasium.Env; gymnasium.make adds the time limit. For many copies use make_vec."""

    def __init__(self, task: str, render_mode: str | None = None):
        self._vector = GymVectorEnv(task, 1, 1, render_mode=render_mode)
        self.metadata = {k: v for k, v in self._vector.metadata.items() if k != "autoreset_mode"}
        self.action_space = self._vector.single_action_space
        self.observation_space = self._vector.single_observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A new episode: obs [O], {}."""
        super().reset(seed=seed)
        return self._vector.envs.reset(seed=seed)[0].numpy(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step: obs [O], reward, terminated, False, and the reward's terms."""
        step = self._vector.envs.step(torch.from_numpy(_floats(action)[None]))
        terms = {name: float(term[0]) for name, term in step.terms.items()}
        return step.obs[0].numpy(), float(step.reward[0]), bool(step.terminated[0]), False, terms


def _floats(actions: Any) -> Array:
    """Actions as float32 or float64, whichever they are: Gymnasium computes control costs in the actions' precision."""
    actions = np.asarray(actions)
    return actions if actions.dtype in (np.float32, np.float64) else actions.astype(np.float64)


def register(tasks: Mapping[str, type[Task]]) -> None:
    """Make tasks known to Gymnasium, by their ids, as pgcontrol/<id>; those that it knows stay."""
    for env_id, task in tasks.items():
        if f"pgcontrol/{env_id}" in gymnasium.registry:
            continue
        gymnasium.register(
            f"pgcontrol/{env_id}",
            entry_point=f"{__name__}:GymEnv",
            vector_entry_point=f"{__name__}:GymVectorEnv",
            max_episode_steps=task.time_limit,
            kwargs={"task": env_id},
        )
