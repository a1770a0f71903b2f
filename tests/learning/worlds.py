"""Small environments with known answers."""

from typing import Any

import numpy as np
import torch
from pgcontrol_envs import Step
from pgcontrol_envs.task import Task
from torch import Tensor


class Clockwork:
    """Reward 1 for ever; every `period` steps the episode ends, by termination or by the time limit.

    The observation is [episode number, steps since its start] of each environment, so that a test sees what was read
    when; or always 0 when `blind`, so that every state is the same. At call `bad_at` of step, a reward is NaN.
    """

    env_id = "Clockwork"
    task: Task | None = None
    control_dt = 0.02
    time_limit: int | None = None
    exact_resume, device = True, torch.device("cpu")
    obs_size, privileged = 2, 0
    shapes = None

    def __init__(self, num_envs: int, period: int, terminates: bool, bad_at: int | None = None, blind: bool = False):
        self.num_envs, self.period, self.terminates, self.bad_at, self.blind = (
            num_envs,
            period,
            terminates,
            bad_at,
            blind,
        )
        self.action_low, self.action_high = torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 2.0])
        self.episode = torch.zeros(num_envs, dtype=torch.float64)
        self.clock = torch.zeros(num_envs, dtype=torch.float64)
        self.steps = 0
        self.actions: list[Tensor] = []

    def _obs(self) -> Tensor:
        return torch.stack((self.episode, self.clock), 1) * (not self.blind)

    def reset(self, ids: Any = None, seed: Any = None) -> Tensor:
        chosen = torch.arange(self.num_envs) if ids is None else ids
        self.episode[chosen] += 1
        self.clock[chosen] = 0
        return self._obs()[chosen]

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        active = torch.ones(self.num_envs, dtype=torch.bool) if active is None else active
        self.actions.append(action)
        self.steps += 1
        self.clock += active
        over = (self.clock >= self.period) & active
        none = torch.zeros_like(over)
        reward = active.double()
        if self.steps == self.bad_at:
            reward[-1] = float("nan")
        return Step(self._obs(), reward, over if self.terminates else none, none if self.terminates else over, {})

    def qpos(self, i: int) -> np.ndarray | None:
        return None

    def own(self, i: int) -> dict[str, np.ndarray]:
        return {}

    def before(self, i: int) -> None:
        return None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"episode": self.episode.clone(), "clock": self.clock.clone()}, {}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        self.episode.copy_(tensors["episode"])
        self.clock.copy_(tensors["clock"])

    def copy(self, source: Any, target: Any) -> None:
        self.episode[target], self.clock[target] = self.episode[source], self.clock[source]

    def close(self) -> None:
        pass


def spec(env: Any, head: str = "gaussian", critic: str = "mse", **options: Any) -> dict[str, Any]:
    """The spec of a small policy for an environment."""
    sizes = {"obs_size": env.obs_size, "low": env.action_low.tolist(), "high": env.action_high.tolist()}
    return sizes | {"hidden": [16, 16], "head": {"name": head, **options}, "critic": {"name": critic}}
