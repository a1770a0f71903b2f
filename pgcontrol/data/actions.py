"""Actions for tokenizers: from a run, a Minari dataset, or an .npz file."""

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pgcontrol.data import dataset
from pgcontrol.data.dataset import Dataset
from pgcontrol.learning.collector import Collector
from pgcontrol.machine.archives import read_npz
from pgcontrol.machine.files import plain
from pgcontrol.options import InputError
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.text import one_line
from pgcontrol.tokenizers.base import unrolled, windows

ENVS = 16
STEPS = 32_000  # default number of environment steps to play with a run


class Actions(NamedTuple):
    """Actions in normalised units, in the order they were played.

    Attributes:
        unit: [T, N, A] within [−1, 1].
        ends: [T, N] bool: the last action of its episode.
        env: the task, if it is known.
    """

    unit: Tensor
    ends: Tensor
    env: str | None


def of(source: Path, steps: int, seed: int = 0, clip: bool = False) -> Actions:
    """Load actions from `source`.

    Args:
        source: run folder or checkpoint, Minari dataset, or .npz file.
        steps: environment steps to play with a run.
        seed: seed of a run's start states and samples.
        clip: see `Dataset`.

    Raises:
        InputError: it is none of these, or its content is invalid.
    """
    if plain(source).is_file():
        return of_file(source)
    return of_dataset(source, clip) if dataset.found(source) else of_run(source, steps, seed)


def chunks(source: str, horizon: int) -> Tensor:
    """All chunks of `horizon` actions within an episode, [M, H, A] in normalised units; see `of`.

    Raises:
        InputError: see `of`; or no episode has `horizon` actions.
    """
    if not Path(source).exists() and not dataset.found(source):
        raise InputError(f"{source}: no such run, dataset or tokenizer folder")
    actions = of(Path(source), STEPS)
    found = windows(actions.unit, actions.ends, horizon)
    if not len(found):
        raise InputError(f"{source}: no episode has {horizon} actions in a row")
    return found


@torch.no_grad()
def of_run(where: Path, steps: int, seed: int) -> Actions:
    """Play a trained policy's samples.

    Args:
        where: run folder or checkpoint.
        steps: total number of environment steps, in 16 environments.
        seed: seed of the start states and of the policy's samples.

    Raises:
        InputError: there is no policy.
    """
    policy, meta = load_with_meta(where)
    head, env_id = policy.head, meta["policy"]["env"]
    choices = -(-steps // (ENVS * head.horizon))
    rng = torch.Generator().manual_seed(seed)
    with closing(make_env(env_id, ENVS, seed)) as env:
        rollout, _ = Collector(env, policy, choices, 1.0, False, rng).collect()
    unit = head.to_unit(head.decode(rollout.choice.flatten(0, 1)))
    return Actions(*unrolled(unit, rollout.terminated | rollout.truncated), env_id)


def of_dataset(where: Path, clip: bool = False) -> Actions:
    """All actions of a Minari dataset, one episode after the other; see `Dataset` for `clip`.

    Raises:
        InputError: there is no such dataset, or it is invalid.
    """
    data = Dataset(where, clip)
    episodes = [torch.from_numpy(episode.action) for episode in data.episodes()]
    ends = [torch.arange(len(action)) == len(action) - 1 for action in episodes]
    low, high = torch.from_numpy(data.low), torch.from_numpy(data.high)
    unit = (2 * (torch.cat(episodes) - low) / (high - low) - 1).clamp(-1, 1)
    return Actions(unit.unsqueeze(1), torch.cat(ends).unsqueeze(1), data.env)


def of_file(file: Path) -> Actions:
    """Read an .npz with `actions` [M, A], and optionally `ends` [M] (last action of its episode), `low`, `high` [A].

    Without `low` and `high`, the actions must be within [−1, 1].

    Raises:
        InputError: one line that names what is missing or wrong.
    """
    try:
        found = read_npz(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not an .npz file of arrays: {one_line(error)}") from None
    if "actions" not in found:
        raise InputError(f"{file}: no array `actions`; the file has {', '.join(found) or 'no arrays'}")
    try:
        actions = torch.from_numpy(found["actions"].astype(np.float64))
    except (ValueError, TypeError):
        raise InputError(f"{file}: `actions` must be numbers") from None
    if actions.ndim != 2 or not len(actions):
        raise InputError(f"{file}: `actions` has shape {tuple(actions.shape)}: must be [M, joints]")
    size = actions.shape[1]
    low, high = (_array(file, found, n, d, (size,)) for n, d in (("low", -np.ones(size)), ("high", np.ones(size))))
    ends = _array(file, found, "ends", np.zeros(len(actions)), (len(actions),)).bool()
    if not (low < high).all():
        raise InputError(f"{file}: `low` must be less than `high` for every joint")
    unit = 2 * (actions - low) / (high - low) - 1
    if not unit.isfinite().all() or unit.abs().max() > 1 + 1e-5:
        within = "within [-1, 1], or within the arrays `low` and `high` of the file"
        raise InputError(f"{file}: `actions` must be finite and {within}")
    return Actions(unit.clamp(-1, 1).float().unsqueeze(1), ends.unsqueeze(1), None)


def _array(file: Path, found: dict[str, np.ndarray], name: str, default: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    value = found.get(name, default)
    if value.shape != shape or value.dtype.kind not in "biuf":
        raise InputError(f"{file}: `{name}` must be numbers of shape {shape}, not {value.dtype} {value.shape}")
    return torch.from_numpy(value.astype(np.float64))
