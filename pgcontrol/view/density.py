"""The action distribution in a state as a picture can show it: a histogram per joint of what the policy might do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv
from torch import Tensor

from pgcontrol.diagnosis import spread
from pgcontrol.policy import Policy

DRAWS = 2048
"""Actions drawn in a state: a column that holds 5 % of the mass is off by 0.5 % (one deviation)."""
COLUMNS = 61
"""Of a histogram over a joint's bounds. Odd, so that the middle has a column; 1/30 of the half-range wide."""
BATCH = 65_536
"""Draws at a time, for memory."""


class Density(NamedTuple):
    """Histograms of S states and A joints, over the joints' bounds."""

    columns: np.ndarray
    """[S, A, `COLUMNS`] uint8: the fullest column of each histogram is 255."""
    spread: np.ndarray
    """[S, A] float32: deviation of the draws, as a share of the joint's half-range."""
    discrete: bool
    """Whether choices are counted rather than measured, so that columns are bars and not points of a curve."""


@torch.no_grad()
def density(policy: Policy, obs: Tensor, seed: int, draws: int = DRAWS) -> Density:
    """What a policy might do in states, by drawing; of a head that emits chunks, the next action alone.

    Args:
        policy: of any head.
        obs: [S, O] raw observations.
        seed: of the draws.
        draws: how many in each state.
    """
    rng, head = torch.Generator().manual_seed(seed), policy.head
    columns, spreads = [], []
    for part in obs.split(max(1, BATCH // draws)):
        unit = spread.unit(policy.draws(part, draws, rng), head.low, head.high).numpy()
        spreads.append(unit.std(0))
        columns.append(_histograms(unit))
    discrete = not head.choice_spec.dtype.is_floating_point
    counts = np.concatenate(columns).astype(np.float32)
    if not discrete:  # a curve: the noise of so many draws is not the policy's
        counts = _smooth(counts)
    full = counts / counts.max(-1, keepdims=True)
    return Density(np.round(255 * full).astype(np.uint8), np.concatenate(spreads).astype(np.float32), discrete)


def bar_width(columns: np.ndarray) -> int:
    """How many columns wide the bars of discrete choices [..., `COLUMNS`] can be without touching: an odd number."""
    used = np.flatnonzero(columns.reshape(-1, columns.shape[-1]).any(0))
    gap = int(np.diff(used).min()) if len(used) > 1 else COLUMNS
    return max(1, 2 * ((gap - 2) // 2) + 1) if gap < COLUMNS else 5


def widened(columns: np.ndarray) -> np.ndarray:
    """Bars [..., `COLUMNS`] drawn as wide as they can be."""
    half = bar_width(columns) // 2
    padded = np.pad(columns, [(0, 0)] * (columns.ndim - 1) + [(half, half)])
    return np.max([padded[..., i : i + columns.shape[-1]] for i in range(2 * half + 1)], 0)


def joint_names(env: VecEnv) -> tuple[str, ...]:
    """Of a task, the actuators'; of other environments, numbers."""
    count = env.action_low.numel()
    names = [env.task.model.actuator(i).name for i in range(count)] if env.task else [""] * count
    return tuple(name or f"joint {i}" for i, name in enumerate(names))


def _histograms(unit: np.ndarray) -> np.ndarray:
    """[D, S, A] in [-1, 1] -> counts [S, A, COLUMNS]."""
    states, joints = unit.shape[1:]
    column = ((unit.clip(-1, 1) + 1) / 2 * (COLUMNS - 1) + 0.5).astype(np.int64)
    cell = column + COLUMNS * (np.arange(joints) + joints * np.arange(states)[:, None])
    return np.bincount(cell.ravel(), minlength=states * joints * COLUMNS).reshape(states, joints, COLUMNS)


def _smooth(counts: np.ndarray) -> np.ndarray:
    """A binomial kernel of five columns, deviation one column, which keeps the mass but for what leaves at an edge."""
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    padded = np.pad(counts, [(0, 0), (0, 0), (2, 2)])
    return np.sum([k * padded[..., i : i + counts.shape[-1]] for i, k in enumerate(kernel)], 0)
