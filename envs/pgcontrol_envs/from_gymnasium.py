"""Any Gymnasium env with Box spaces as a VecEnv."""

from difflib import get_close_matches
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from pgcontrol_envs.task import python_warnings
from pgcontrol_envs.vector import Ids, Seed, Step, UnknownEnv, as_ids, as_seeds, require_state_of


class GymnasiumVecEnv:
    """VecEnv of N copies of the Gymnasium env `name`, stepped one after the other in this process.

    Observations and actions are flattened. Reward terms are the numbers in infos whose names begin with "reward".
    A Gymnasium env cannot save its state, so `load_state` restores its random stream and starts a new episode.

    Attributes:
        model: the envs' mujoco.MjModel; None for envs of another simulator.

    Raises:
        UnknownEnv: Gymnasium has no env `name`, or the module in "module:name" cannot be imported.
        ValueError: a space is not a Box, or the action Box is unbounded.
    """

    task = None
    exact_resume = False

    def __init__(self, name: str, num_envs: int, seed: int | None = 0):
        self.env_id, self.num_envs = f"gym:{name}", num_envs
        self._envs: list[Any] = [_make(name) for _ in range(num_envs)]
        first = self._envs[0]
        obs_space, action_space = first.observation_space, first.action_space
        for what, space in (("observation", obs_space), ("action", action_space)):
            if not isinstance(space, Box):
                raise ValueError(f"{self.env_id}: expected a Box of {what}s, got {space}")
        if not action_space.is_bounded():
            raise ValueError(f"{self.env_id}: expected bounded actions, got {action_space}")
        self._action_space, self.obs_size = action_space, int(np.prod(obs_space.shape))
        self.action_low = torch.from_numpy(action_space.low.astype(np.float32).flatten())
        self.action_high = torch.from_numpy(action_space.high.astype(np.float32).flatten())
        dt = getattr(first.unwrapped, "dt", None)  # seconds per step, or what the rate of pictures says
        self.control_dt = float(dt) if isinstance(dt, int | float) else 1.0 / (first.metadata.get("render_fps") or 30)
        self.time_limit = first.spec.max_episode_steps if first.spec else None
        self.model = getattr(first.unwrapped, "model", None)
        self._seeds = as_seeds(seed, num_envs)
        self._obs = torch.zeros(num_envs, self.obs_size, dtype=torch.float64)

    def reset(self, ids: Ids | None = None, seed: Seed | None = None) -> Tensor:
        """Start new episodes; see VecEnv.reset."""
        if seed is not None:
            self._seeds = as_seeds(seed, self.num_envs)
        chosen = as_ids(ids, self.num_envs)
        for i in chosen.tolist():
            obs, _ = self._envs[i].reset(seed=self._seeds[i])
            self._seeds[i] = None  # a seed starts one stream, which later episodes continue
            self._obs[i] = self._flat(obs)
        return self._obs[chosen]

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """Step all envs, or those of the mask active; see VecEnv.step. Raises ValueError for actions of wrong shape."""
        if action.shape != (expected := (self.num_envs, len(self.action_low))):
            raise ValueError(f"{self.env_id}: expected actions of shape {expected}, got {tuple(action.shape)}")
        space, rows = self._action_space, action.numpy()
        reward = torch.zeros(self.num_envs, dtype=torch.float64)
        terminated, truncated = torch.zeros(2, self.num_envs, dtype=torch.bool)
        terms: dict[str, Tensor] = {}
        for i in as_ids(active, self.num_envs).tolist():
            row = rows[i].reshape(space.shape).astype(space.dtype)
            obs, reward[i], terminated[i], truncated[i], info = self._envs[i].step(row)
            self._obs[i] = self._flat(obs)
            for key, value in info.items():
                if key.startswith("reward") and np.ndim(value) == 0:
                    terms.setdefault(key, torch.zeros_like(reward))[i] = float(value)
        return Step(self._obs.clone(), reward, terminated, truncated, terms)

    def qpos(self, i: int) -> np.ndarray | None:
        """A copy of env i's generalised positions if it is a MuJoCo env, else None."""
        qpos = getattr(getattr(self._envs[i].unwrapped, "data", None), "qpos", None)
        return None if qpos is None else np.array(qpos)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The random streams; the episodes cannot be saved."""
        streams = [dict(env.unwrapped.np_random.bit_generator.state) for env in self._envs]
        return {}, {"env": self.env_id, "streams": streams}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Restore the random streams and start new episodes. Raises ValueError if it is the state of other envs."""
        require_state_of(self, extra)
        for env, stream in zip(self._envs, extra["streams"], strict=True):
            env.unwrapped.np_random.bit_generator.state = stream
        self._seeds = as_seeds(None, self.num_envs)
        self.reset()

    def copy(self, source: Ids, target: Ids) -> None:
        """Raises ValueError: a Gymnasium env cannot copy its state."""
        raise ValueError(f"{self.env_id}: the states of Gymnasium envs cannot be copied")

    def close(self) -> None:
        """Close the envs."""
        for env in self._envs:
            env.close()

    def _flat(self, obs: Any) -> Tensor:
        return torch.from_numpy(np.asarray(obs, np.float64).reshape(-1))


def _make(name: str) -> gymnasium.Env:
    if not name or name.count(":") > 1:
        raise UnknownEnv(f"unknown env 'gym:{name}': expected gym:ID or gym:MODULE:ID")
    try:
        with python_warnings():
            return gymnasium.make(name, disable_env_checker=True)
    except (gymnasium.error.UnregisteredEnv, ImportError) as error:
        close = get_close_matches(name, list(gymnasium.registry), n=3)
        hint = f"did you mean {' or '.join(f'gym:{one}' for one in close)}?" if close else _line(error)
        raise UnknownEnv(f"unknown env 'gym:{name}': {hint}") from error
    except gymnasium.error.Error as error:
        raise ValueError(f"gym:{name}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
