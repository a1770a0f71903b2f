"""A one-step task: a contextual bandit as a VecEnv, on which a policy gradient is reward-weighted likelihood."""

from typing import Any

import torch
from pgcontrol_envs import Step
from pgcontrol_envs.task import Task
from torch import Tensor


class OneStep:
    """Every episode has one step: observe x in [−1, 1]², act, and get the reward 1 − |a − x/2|².

    The best action is half of the observation. Bounds are ±1. See pgcontrol_envs.VecEnv for the methods.
    """

    env_id = "OneStep"
    task: Task | None = None
    control_dt = 1.0
    time_limit: int | None = 1
    exact_resume, device = True, torch.device("cpu")
    obs_size, privileged = 2, 0
    shapes = None

    def __init__(self, num_envs: int, seed: int = 0):
        self.num_envs = num_envs
        self.action_low, self.action_high = -torch.ones(2), torch.ones(2)
        self.obs = torch.zeros(num_envs, 2, dtype=torch.float64)
        self.rng = torch.Generator().manual_seed(seed)

    def reset(self, ids: Any = None, seed: Any = None) -> Tensor:
        """Draw new contexts; the random stream continues, `seed` is ignored."""
        chosen = torch.arange(self.num_envs) if ids is None else torch.as_tensor(ids)
        self.obs[chosen] = 2 * torch.rand(self.obs[chosen].shape, generator=self.rng).double() - 1
        return self.obs[chosen]

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """The reward of each action."""
        active = torch.ones(self.num_envs, dtype=torch.bool) if active is None else active
        reward = (1 - ((action - self.obs / 2) ** 2).sum(1)) * active
        return Step(self.obs.clone(), reward, active.clone(), torch.zeros_like(active), {})

    def qpos(self, i: int) -> None:
        """None: there is nothing to render."""

    def own(self, i: int) -> dict[str, Any]:
        """Empty: there is no model."""
        return {}

    def before(self, i: int) -> None:
        """None: there is nothing to replay."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The contexts and the random stream."""
        return {"obs": self.obs.clone(), "rng": self.rng.get_state()}, {}

    def copy(self, source: Any, target: Any) -> None:
        """Copy the contexts."""
        self.obs[target] = self.obs[source]

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue from what state() returned."""
        self.obs.copy_(tensors["obs"])
        self.rng.set_state(tensors["rng"])

    def close(self) -> None:
        """Nothing to release."""
