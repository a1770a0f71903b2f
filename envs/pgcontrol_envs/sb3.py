"""Tasks as Stable-Baselines3's VecEnv; one call steps all copies. Needs stable-baselines3 (extra: peers)."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from pgcontrol_envs.to_gymnasium import GymVectorEnv

Array = np.ndarray


def make(task: str, num_envs: int = 1, seed: int | None = None, threads: int = 0, **arguments: Any) -> "BatchedVecEnv":
    """N copies of a task for Stable-Baselines3.

    Args:
        task: a task's id, with or without "pgcontrol/".
        num_envs: N.
        seed: the first episode of copy i is the one of Gymnasium's reset(seed=seed + i); None: a random seed.
        threads: threads for the physics; 0: one per logical CPU. Results do not depend on it.
        arguments: max_episode_steps, render_mode, and Gymnasium's keyword arguments for the v5 task.

    Raises:
        ValueError: there is no such task or argument, or a value is invalid. One line names it.
    """
    arguments["autoreset_mode"] = AutoresetMode.SAME_STEP
    env = BatchedVecEnv(GymVectorEnv(task.removeprefix("pgcontrol/"), num_envs, threads, **arguments))
    env.seed(seed)
    return env


class BatchedVecEnv(VecEnv):
    """Stable-Baselines3's VecEnv around one of our vector envs, with the infos of DummyVecEnv and Monitor.

    Every step has `TimeLimit.truncated`. The last step of an episode also has `terminal_observation` (the true one) and
    `episode`: its return "r", its length "l" and the seconds "t" since these envs were made. Rewards are float32, as in
    DummyVecEnv. Reward terms are left out: N dictionaries per step would cost more than the physics.
    """

    def __init__(self, envs: GymVectorEnv):
        self.envs = envs
        self._began = time.time()
        self._returns, self._lengths = np.zeros(envs.num_envs), np.zeros(envs.num_envs, int)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata = envs.metadata

    def reset(self) -> Array:
        """Start new episodes in all envs, with the seeds of seed(); returns the observations [N, O]."""
        obs, _ = self.envs.reset(seed=self._seeds)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._returns[:], self._lengths[:] = 0, 0
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: Array) -> None:
        """Store the actions [N, A]; step_wait() executes them."""
        self._actions = actions

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """Observations [N, O], rewards [N], whether an episode ended [N], and the infos."""
        obs, reward, terminated, truncated, ended = self.envs.step(self._actions)
        self._returns += reward
        self._lengths += 1
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": cut} for cut in (truncated & ~terminated).tolist()]
        over = terminated | truncated
        for i in np.flatnonzero(over):
            episode = {"r": round(float(self._returns[i]), 6), "l": int(self._lengths[i])}
            infos[i]["terminal_observation"] = ended["final_obs"][i]
            infos[i]["episode"] = episode | {"t": round(time.time() - self._began, 6)}
        self._returns[over], self._lengths[over] = 0, 0
        return obs, reward.astype(np.float32), over, infos

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[Array | None]:
        """An image of each env."""
        return self.envs.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The vector env's attribute, once for each requested env."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Raises AttributeError: the copies are not separate objects."""
        raise AttributeError(f"{attr_name!r} cannot be set: all copies share one batch")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Raises AttributeError: the copies are not separate objects."""
        raise AttributeError(f"{method_name!r} cannot be called: all copies share one batch")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """True for Monitor, because its infos are provided; False for any other wrapper."""
        return [wrapper_class is Monitor] * len(list(self._get_indices(indices)))
