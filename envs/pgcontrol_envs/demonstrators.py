"""Scripted demonstrators for the tasks with routes."""

import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.vector import VecEnv, as_ids


class Demonstrator:
    """Plays the task of a VecEnv with the task's own controller. Each episode takes one route; routes are balanced.

    Routes are dealt like cards from a shuffled deck: each block of len(routes) episodes, in the order of reset(),
    contains every route once. The task's noise varies the actions within an episode.

    Args:
        env: envs of a task with routes. The demonstrator reads their state and never steps them.
        seed: seed of the routes and of the noise.
        noise: scale of the noise; 0: the controller without noise.

    Attributes:
        route: the planned route of each env's episode [N].

    Raises:
        ValueError: the env has no task with routes.
    """

    def __init__(self, env: VecEnv, seed: int = 0, noise: float = 1.0):
        if env.task is None or not env.task.routes:
            raise ValueError(f"{env.env_id}: has no scripted demonstrator; only tasks with routes have one")
        self.task, self.noise = env.task, noise
        self._shape = (env.num_envs, len(env.action_low))
        self._rng = np.random.default_rng(seed)
        self._deck: list[int] = []
        self.route = np.zeros(env.num_envs, np.int64)
        self.reset()

    def reset(self, over: Tensor | None = None) -> None:
        """Deal new routes for the envs in the mask over [N] (None: all), which begin new episodes."""
        for i in as_ids(over, len(self.route)):
            if not self._deck:
                self._deck = self._rng.permutation(len(self.task.routes)).tolist()
            self.route[i] = self._deck.pop()

    def act(self, obs: Tensor | None = None) -> Tensor:
        """The actions [N, A], float32, for the current state; obs is ignored."""
        noise = self.noise * self._rng.standard_normal(self._shape)
        return torch.from_numpy(self.task.demonstrate(self.route, noise)).float()
