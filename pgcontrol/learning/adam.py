"""Adam, as functions of tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pgcontrol.policy import Policy


class Adam(NamedTuple):
    """Adam's state: moments [P] and the number of steps taken (float64, so that bias corrections stay exact)."""

    moment1: Tensor
    moment2: Tensor
    steps: Tensor


def fresh_adam(policy: Policy) -> Adam:
    """Adam's state before its first step."""
    zeros = torch.zeros_like(policy.theta)
    return Adam(zeros, zeros.clone(), torch.zeros((), dtype=torch.float64))


def load_adam(like: Adam, state: dict[str, Tensor], prefix: str = "") -> Adam:
    """Adam's state from a checkpoint's tensors; ValueError when it is that of other weights."""
    loaded = Adam(*(state[prefix + name].clone() for name in Adam._fields))
    if loaded.moment1.shape != like.moment1.shape:
        raise ValueError(f"rule.{prefix}moment1 has shape {tuple(loaded.moment1.shape)}")
    return loaded


def adam_step(gradient: Tensor, adam: Adam, rate: Tensor) -> tuple[Tensor, Adam]:
    """Adam's displacement and new state (Kingma & Ba 2015, algorithm 1) with β = 0.9, 0.999, ε = 1e-5.

    ε is that of the PPO implementations all published figures come from, not Adam's 1e-8.
    """
    beta1, beta2 = 0.9, 0.999
    steps = adam.steps + 1
    moment1 = torch.lerp(adam.moment1, gradient, 1 - beta1)
    moment2 = beta2 * adam.moment2 + (1 - beta2) * gradient * gradient
    scale = (moment2 / (1 - beta2**steps)).sqrt() + 1e-5
    return moment1 / scale * (rate / (1 - beta1**steps)), Adam(moment1, moment2, steps)
