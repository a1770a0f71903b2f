"""The action distribution in a state in a form for pictures: a histogram for each joint, from samples."""

from typing import Any, NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv
from torch import Tensor

from pgcontrol.measures import spread
from pgcontrol.policy import Policy

DRAWS = 2048  # samples per state: a column with 5 % of the probability has a standard error of 0.5 %
COLUMNS = 61  # columns of a histogram over a joint's bounds: odd, so that one is in the middle; 1/30 half-ranges wide
BATCH = 65_536  # samples at a time, to limit memory


class Density(NamedTuple):
    """Histograms of S states and A joints over the joints' bounds; for P parts of a chunk S·P, grouped by state.

    Attributes:
        columns: [S, A, `COLUMNS`] uint8: the highest column of each histogram is 255.
        spread: [S, A] float32: standard deviation of the samples, in half-ranges.
        discrete: whether choices are discrete, so that columns are bars and not points of a curve.
    """

    columns: np.ndarray
    spread: np.ndarray
    discrete: bool


@torch.no_grad()
def density(policy: Policy, obs: Tensor, seed: int, parts: int = 1) -> Density:
    """Sample a policy's action distribution in states.

    Args:
        policy: any policy.
        obs: [S, O] raw observations.
        seed: seed of the samples.
        parts: P, number of a choice's H actions to show; 1 is only the next action.
    """
    rng, head = torch.Generator().manual_seed(seed), policy.head
    columns, spreads = [], []
    for some in obs.split(max(1, BATCH // (DRAWS * parts))):
        params = policy.params(policy.normaliser(some)).repeat_interleave(DRAWS, 0)
        action = head.decode(head.sample(params, rng)).unflatten(0, (len(some), DRAWS))[:, :, :parts]
        unit = spread.unit(action.transpose(0, 1).flatten(1, 2), head.low, head.high).numpy()  # [D, S·P, A]
        spreads.append(unit.std(0))
        columns.append(histograms(unit))
    discrete = not head.choice_spec.dtype.is_floating_point
    counts = np.concatenate(columns).astype(np.float32)
    if not discrete:  # for a curve, remove the sampling noise
        counts = smooth(counts, 2)
    full = counts / counts.max(-1, keepdims=True)
    return Density(np.round(255 * full).astype(np.uint8), np.concatenate(spreads).astype(np.float32), discrete)


def widened(columns: np.ndarray) -> np.ndarray:
    """Bars of discrete choices [..., `COLUMNS`], as wide as possible without touching."""
    used = np.flatnonzero(columns.any(tuple(range(columns.ndim - 1))))
    half = max((np.diff(used).min() - 2) // 2, 0) if len(used) > 1 else 2  # columns added on either side of a bar
    padded = np.pad(columns, [(0, 0)] * (columns.ndim - 1) + [(half, half)])
    return np.max([padded[..., i : i + columns.shape[-1]] for i in range(2 * half + 1)], 0)


def joint_names(env: VecEnv) -> tuple[str, ...]:
    """Names of the actuators, or of the joints that they move; "joint N" for actions without such a name."""
    model, count = env.task.model if env.task else getattr(env, "model", None), env.action_low.numel()
    names = [_name(model, i) for i in range(count)] if model is not None and model.nu == count else [""] * count
    return tuple(name or f"joint {i}" for i, name in enumerate(names))


def _name(model: Any, actuator: int) -> str:
    if name := model.actuator(actuator).name:
        return name
    moves_joint = model.actuator_trntype[actuator] in (0, 1)  # mjtTrn: a joint, in its own frame or its parent's
    return model.joint(model.actuator_trnid[actuator, 0]).name if moves_joint else ""


def histograms(unit: np.ndarray) -> np.ndarray:
    """Samples [D, S, A] in [-1, 1] -> counts [S, A, `COLUMNS`]; the columns at the bounds are half as wide."""
    states, joints = unit.shape[1:]
    column = ((unit.clip(-1, 1) + 1) / 2 * (COLUMNS - 1) + 0.5).astype(np.int64)
    cell = column + COLUMNS * (np.arange(joints) + joints * np.arange(states)[:, None])
    return np.bincount(cell.ravel(), minlength=states * joints * COLUMNS).reshape(states, joints, COLUMNS)


def smooth(counts: np.ndarray, passes: int) -> np.ndarray:
    """Histograms [..., `COLUMNS`] with less sampling noise: a binomial kernel with variance ½ per pass.

    The columns at the bounds do not change: probability from clipping is not part of the curve next to it.
    """
    inner = counts[..., 1:-1]
    for _ in range(passes):
        padded = np.pad(inner, [(0, 0)] * (counts.ndim - 1) + [(1, 1)], mode="edge")
        inner = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return np.concatenate([counts[..., :1], inner, counts[..., -1:]], -1)
