"""The action distribution in a state as a picture can show it: a histogram per joint of what the policy might do."""

from typing import Any, NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv
from torch import Tensor

from pgcontrol.measures import spread
from pgcontrol.policy import Policy

DRAWS = 2048  # actions drawn in a state: a column that holds 5 % of the mass is off by 0.5 % (one deviation)
COLUMNS = 61  # of a histogram over a joint's bounds: odd, so that the middle has one; 1/30 of the half-range wide
BATCH = 65_536  # draws at a time, for memory


class Density(NamedTuple):
    """Histograms of S states and A joints, over the joints' bounds; of P parts of a chunk, S·P, a state's together.

    Attributes:
        columns: [S, A, `COLUMNS`] uint8: the fullest column of each histogram is 255.
        spread: [S, A] float32: deviation of the draws, as a share of the joint's half-range.
        discrete: whether choices are counted rather than measured, so that columns are bars and not points of a curve.
    """

    columns: np.ndarray
    spread: np.ndarray
    discrete: bool


@torch.no_grad()
def density(policy: Policy, obs: Tensor, seed: int, parts: int = 1) -> Density:
    """What a policy might do in states, by drawing.

    Args:
        policy: of any head.
        obs: [S, O] raw observations.
        seed: of the draws.
        parts: P, how many of a choice's H actions; 1 is the next action alone.
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
    if not discrete:  # a curve: the noise of so many draws is not the policy's
        counts = smooth(counts, 2)
    full = counts / counts.max(-1, keepdims=True)
    return Density(np.round(255 * full).astype(np.uint8), np.concatenate(spreads).astype(np.float32), discrete)


def widened(columns: np.ndarray) -> np.ndarray:
    """Bars of discrete choices [..., `COLUMNS`], as wide as they can be without touching."""
    used = np.flatnonzero(columns.any(tuple(range(columns.ndim - 1))))
    half = max((np.diff(used).min() - 2) // 2, 0) if len(used) > 1 else 2  # columns on either side of a bar's own
    padded = np.pad(columns, [(0, 0)] * (columns.ndim - 1) + [(half, half)])
    return np.max([padded[..., i : i + columns.shape[-1]] for i in range(2 * half + 1)], 0)


def joint_names(env: VecEnv) -> tuple[str, ...]:
    """Of the actuators, or of the joints that they move; numbers where actions are no actuators, or have no name."""
    model, count = env.task.model if env.task else getattr(env, "model", None), env.action_low.numel()
    names = [_name(model, i) for i in range(count)] if model is not None and model.nu == count else [""] * count
    return tuple(name or f"joint {i}" for i, name in enumerate(names))


def _name(model: Any, actuator: int) -> str:
    if name := model.actuator(actuator).name:
        return name
    moves_joint = model.actuator_trntype[actuator] in (0, 1)  # mjtTrn: a joint, in its own frame or its parent's
    return model.joint(model.actuator_trnid[actuator, 0]).name if moves_joint else ""


def histograms(unit: np.ndarray) -> np.ndarray:
    """Draws [D, S, A] in [-1, 1] -> counts [S, A, `COLUMNS`]; the columns on the bounds are half as wide as others."""
    states, joints = unit.shape[1:]
    column = ((unit.clip(-1, 1) + 1) / 2 * (COLUMNS - 1) + 0.5).astype(np.int64)
    cell = column + COLUMNS * (np.arange(joints) + joints * np.arange(states)[:, None])
    return np.bincount(cell.ravel(), minlength=states * joints * COLUMNS).reshape(states, joints, COLUMNS)


def smooth(counts: np.ndarray, passes: int) -> np.ndarray:
    """Histograms [..., `COLUMNS`] without the noise of the draws: a binomial kernel, of variance a half a pass.

    The columns on the bounds stay as they are: what clipping piles up there is no part of the curve beside it.
    """
    inner = counts[..., 1:-1]
    for _ in range(passes):
        padded = np.pad(inner, [(0, 0)] * (counts.ndim - 1) + [(1, 1)], mode="edge")
        inner = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return np.concatenate([counts[..., :1], inner, counts[..., -1:]], -1)
