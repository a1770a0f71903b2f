"""`pgcontrol tokenize`: a tokenizer folder from a run's actions, or from a dataset of actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from pgcontrol.learning.rollout import Collector
from pgcontrol.options import InputError
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.tokenizers import files
from pgcontrol.tokenizers.base import Tokenizer, windows

ENVS = 16
HELD_OUT = 0.2


class Actions(NamedTuple):
    """Actions in normalised units, in the order they were played."""

    unit: Tensor
    """[T, N, A] within [−1, 1]."""
    ends: Tensor
    """[T, N] bool: the last action of its episode."""
    env: str | None
    """The task, where it is known."""


@torch.no_grad()
def of_run(where: Path, steps: int, seed: int, deterministic: bool = False) -> Actions:
    """Play a trained policy.

    Args:
        where: run folder or checkpoint.
        steps: environment steps in all, over 16 environments.
        seed: of the start states and of the policy's samples.
        deterministic: the policy's mode instead of its samples.

    Raises:
        InputError: no policy there.
    """
    policy, meta = load_with_meta(where)
    head, env_id = policy.head, meta["policy"]["env"]
    choices = -(-steps // (ENVS * head.horizon))
    rng: Any = None if deterministic else torch.Generator().manual_seed(seed)
    rollout, _ = Collector(make_env(env_id, ENVS, seed), policy, choices, 1.0, False, rng).collect()
    unit = (head.decode(rollout.choice.flatten(0, 1)) - head.centre) / head.half_range
    ended = rollout.terminated | rollout.truncated
    # [T, N, (H,) A] -> [T·H, N, A]; an episode that ended within a chunk leaves the rest of it unplayed
    unit = unit.view(choices, ENVS, head.horizon, head.joints).transpose(1, 2).flatten(0, 1)
    return Actions(unit.clamp(-1, 1), ended.repeat_interleave(head.horizon, 0), env_id)


def of_dataset(file: Path) -> Actions:
    """Read an .npz with `actions` [M, A], and optionally `ends` [M] (last action of its episode), `low`, `high` [A].

    Without `low` and `high` the actions must lie within [−1, 1].

    Raises:
        InputError: one line that names what is missing or wrong.
    """
    try:
        with np.load(file, allow_pickle=False) as data:
            found = {name: np.asarray(data[name]) for name in data.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{file}: not an .npz file of arrays: {' '.join(str(error).split())[:120]}") from None
    if "actions" not in found:
        raise InputError(f"{file}: no array `actions`; it holds {', '.join(found) or 'nothing'}")
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
        raise InputError(
            f"{file}: `actions` must be finite and within [-1, 1], or within the arrays `low` and `high` beside them"
        )
    return Actions(unit.clamp(-1, 1).float().unsqueeze(1), ends.unsqueeze(1), None)


def _array(file: Path, found: dict[str, np.ndarray], name: str, default: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    value = found.get(name, default)
    if value.shape != shape or value.dtype.kind not in "biuf":
        raise InputError(f"{file}: `{name}` must be numbers of shape {shape}, not {value.dtype} {value.shape}")
    return torch.from_numpy(value.astype(np.float64))


def split(actions: Actions, horizon: int) -> tuple[Tensor, Tensor]:
    """Chunks to fit, and chunks held out: those of the last fifth of the time.

    Raises:
        InputError: too few actions for chunks of this length.
    """
    cut = int(len(actions.unit) * (1 - HELD_OUT))
    parts = [windows(actions.unit[s], actions.ends[s], horizon) for s in (slice(None, cut), slice(cut, None))]
    if not all(len(part) for part in parts):
        raise InputError(f"horizon = {horizon}: too long for these actions, {len(actions.unit)} in a row at most")
    return parts[0], parts[1]


def error(tokenizer: Tokenizer, chunks: Tensor) -> float:
    """Root mean square of what encoding loses, in half-ranges."""
    return float((tokenizer.decode(tokenizer.encode(chunks)) - chunks).square().mean().sqrt())


def tokenize(
    source: Path, kind: str, out: Path, horizon: int, settings: dict[str, Any], steps: int, seed: int
) -> Tokenizer:
    """Fit a tokenizer, print how well it does, write its folder.

    Args:
        source: a run folder or checkpoint, or an .npz file; see `of_run` and `of_dataset`.
        kind: a tokenizer's name.
        out: the folder to write, which must not exist.
        horizon: actions a chunk.
        settings: the kind's own options.
        steps: environment steps to play, when the source is a run.
        seed: of start states, samples, and the fit.

    Raises:
        InputError: one line that names what is wrong; nothing is written.
    """
    if out.exists():
        raise InputError(f"--out {out} exists already; name a folder that does not")
    files.make(kind, horizon, 1, settings).require()  # before anything takes time
    actions = of_dataset(source) if source.is_file() else of_run(source, steps, seed)
    fit, held_out = split(actions, horizon)
    tokenizer = files.make(kind, horizon, actions.unit.shape[-1], settings)
    tokenizer.fit(fit, seed)
    lost = error(tokenizer, held_out)
    notes = {"source": str(source), "env": actions.env, "seed": seed, "chunks": len(fit), "error": lost}
    files.save(out, tokenizer, notes)
    spread = float(held_out.std())
    say = Console(highlight=False, soft_wrap=True).print
    say(f"{len(fit):,} chunks of {horizon} from {source}, sampled with seed {seed}; {len(held_out):,} held out")
    say(f"{tokenizer.length} codes of {tokenizer.codes}: {tokenizer.bits:.2f} bits per action")
    say(f"error {lost:.4f} half-ranges (root mean square, held out); the actions' deviation is {spread:.4f}")
    flags = " ".join(f"--head.{k} {v}" for k, v in files.spec(tokenizer).items() if k != "joints")
    say(f"pgcontrol train {actions.env or 'TASK'} --head token --head.source {out} {flags}", markup=False)
    return tokenizer
