"""Scripted demonstrators of the tasks with routes."""

import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.vector import VecEnv, as_ids


class Demonstrator:
    """Plays the task of a VecEnv by its own controller, each episode by a route of its own, all routes equally often.

    Routes are dealt like cards: of any len(routes) consecutive episodes, counted in the order of reset(), that begin
    with a new deck, each goes another way. Within an episode the actions vary by the task's noise.

    Args:
        env: envs of a task with routes; the demonstrator reads their state and never steps them.
        seed: of the dealing and of the noise.
        noise: scale of the noise; 0 for the bare controller.

    Attributes:
        route: the route that each env's episode is to take [N].

    Raises:
        ValueError: the env has no task with routes.
    """

    def __init__(self, env: VecEnv, seed: int = 0, noise: float = 1.0):
        if env.task is None or not env.task.routes:
            raise ValueError(f"{env.env_id}: has no scripted demonstrator; tasks with routes have one")
        self.task, self.noise = env.task, noise
        self._shape = (env.num_envs, len(env.action_low))
        self._rng = np.random.default_rng(seed)
        self._deck: list[int] = []
        self.route = np.zeros(env.num_envs, np.int64)
        self.reset()

    def reset(self, over: Tensor | None = None) -> None:
        """Deal new routes to the envs of the mask over [N] (None: all), whose episodes begin again."""
        for i in as_ids(over, len(self.route)):
            if not self._deck:
                self._deck = self._rng.permutation(len(self.task.routes)).tolist()
            self.route[i] = self._deck.pop()

    def act(self, obs: Tensor | None = None) -> Tensor:
        """The actions [N, A], float32, for the present state; obs is not looked at."""
        noise = self.noise * self._rng.standard_normal(self._shape)
        return torch.from_numpy(self.task.demonstrate(self.route, noise)).float()
